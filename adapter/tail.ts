/** Follows a pod's log file: the addon reads it, this file hands its lines to a JavaScript callback one at a time. */
import { LineDelivery, type OnLog } from "./line-delivery.js";
import type { Native, NativeLoader, TailHandle } from "./native.js";
import { watchStopFlag } from "./stop-flags.js";

/** A flag that its owner sets to end a tail. */
export interface StopSignal {
  stopped: boolean;
}

/** Options of {@link TailPodLogFile}; times are in milliseconds. */
export interface TailOptions {
  /** Takes every complete line as `("stdout", line + "\n")`, and remarks of the tail as `"stderr"`. */
  onLog: OnLog;
  /** Ends the tail once `stopped` is true, after one final read. */
  stopSignal?: StopSignal | undefined;
  /** Ends the tail as `stopSignal` does. */
  signal?: AbortSignal | undefined;
  /** Pause between two reads of a growing file (250). */
  pollMs?: number | undefined;
  /** Pause between two reads of a quiet file (1000). */
  maxPollMs?: number | undefined;
  /** Reads without growth after which a file counts as quiet (5). */
  idlePolls?: number | undefined;
  /** How long to wait for the file to appear (30000). */
  appearTimeoutMs?: number | undefined;
  /** How long one `onLog` call may take before the tail goes on without it (30000, at most 2000 after a stop). */
  sinkTimeoutMs?: number | undefined;
  /** `false`: the lines are not kept and the tail resolves to `""`. */
  collect?: boolean | undefined;
  /** `false`: the process may end while the tail is pending. */
  ref?: boolean | undefined;
}

/** Follows `filePath` until it is stopped; resolves to everything that was read. */
export type TailPodLogFile = (filePath: string, options: TailOptions) => Promise<string>;

/** Makes `tailPodLogFile` over an addon. */
export function createTailPodLogFile(load: NativeLoader): TailPodLogFile {
  return async function tailPodLogFile(filePath, options) {
    if (typeof filePath !== "string" || filePath === "") {
      throw new TypeError("tailPodLogFile needs the path of a log file");
    }
    if (typeof options?.onLog !== "function") throw new TypeError("tailPodLogFile needs options.onLog, a function");
    const { onLog, stopSignal, signal, sinkTimeoutMs, ...nativeOptions } = options;
    const delivery = new LineDelivery(onLog, sinkTimeoutMs);
    const { handle, ended } = follow(load(), filePath, JSON.stringify(nativeOptions), delivery);
    const stop = (): void => {
      delivery.hurry();
      handle.stop();
    };
    const unwatch = stopSignal ? watchStopFlag(stopSignal, stop) : undefined;
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    try {
      return await ended;
    } finally {
      unwatch?.();
      signal?.removeEventListener("abort", stop);
      delivery.close();
    }
  };
}

/** Starts the tail; `ended` settles with its last call. */
function follow(
  native: Native,
  filePath: string,
  options: string,
  delivery: LineDelivery,
): { handle: TailHandle; ended: Promise<string> } {
  let handle!: TailHandle;
  const ended = new Promise<string>((resolve, reject) => {
    handle = native.tailFile(filePath, options, (kind, text) => {
      if (kind === "end") resolve(text);
      else if (kind === "fail") reject(new Error(text));
      else return delivery.deliver(kind === "stderr" ? "stderr" : "stdout", text);
      return undefined;
    });
  });
  return { handle, ended };
}
