/** Takes one line of the log, with its newline, as `"stdout"`; a remark of the tail as `"stderr"`. */
export type OnLog = (stream: "stdout" | "stderr", chunk: string) => void | Promise<void>;

/** A flag that its owner sets to end a tail. */
export interface StopSignal {
  stopped: boolean;
}

/** How a file is followed. Times are in milliseconds. */
export interface TailSettings {
  /**
   * Ends the tail once `stopped` is true, after one final read. Read at the pace of the file, once a second at least,
   * and after its lines.
   */
  stopSignal?: StopSignal | undefined;
  /** Ends the tail as `stopSignal` does, at once. */
  signal?: AbortSignal | undefined;
  /** Pause between two reads of a growing file (250). */
  pollMs?: number | undefined;
  /** Pause between two reads of a quiet file (1000). */
  maxPollMs?: number | undefined;
  /** Reads without growth after which a file counts as quiet (5). */
  idlePolls?: number | undefined;
  /** How long to wait for the file to appear (30000); `Infinity` is allowed. */
  appearTimeoutMs?: number | undefined;
  /** How long one call may take before the tail goes on without it (30000, at most 2000 after a stop). */
  sinkTimeoutMs?: number | undefined;
  /** `false`: the lines are not kept and the tail resolves to `""` (true). */
  collect?: boolean | undefined;
  /** `false`: the process may end while the tail is pending (true). */
  ref?: boolean | undefined;
  /** Where the shared volume is mounted here (`/paperclip`): below it no component of a path may be a link. */
  dataRoot?: string | undefined;
}

/** Options of {@link tailPodLogFile}: one call a line. */
export interface TailOptions extends TailSettings {
  /** Gets every complete line, one call at a time, each awaited. */
  onLog: OnLog;
}

/** Options of {@link tailPodLogFile}: one call for many lines, for logs that come fast. */
export interface TailChunkOptions extends TailSettings {
  /** Gets whole lines, up to 120 KiB a call, one call at a time, each awaited. A longer line comes alone. */
  onLines: (chunk: string) => void | Promise<void>;
  /** Gets the remarks of the tail, as `"stderr"`; none without it. */
  onLog?: OnLog | undefined;
}
