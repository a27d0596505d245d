/** Follows a pod's log file: the addon reads it, this file hands its lines to a JavaScript callback one at a time. */
import { statusLine } from "../host/calls.js";
import { LineDelivery, type OnLog } from "./line-delivery.js";
import type { NativeLoader } from "../addon/native.js";
import { type FlagWatch, type ReadPace, type StopSignal, watchStopFlag } from "./stop-flags.js";
import { type RunningTail, type TailFeed, tailFeed } from "./feed.js";

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
    const { onLog, stopSignal, signal, sinkTimeoutMs, collect = true, ref = true, ...nativeOptions } = options;
    if (signal && typeof signal.addEventListener !== "function") {
      throw new TypeError("tailPodLogFile needs an AbortSignal as options.signal; a {stopped} flag goes to stopSignal");
    }
    const delivery = new LineDelivery(onLog, sinkTimeoutMs);
    let watch: FlagWatch | undefined;
    const taken = (): void => watch?.check();
    const forAddon = JSON.stringify({ ...nativeOptions, collect: Boolean(collect) });
    const { tail, ended } = follow(tailFeed(load()), filePath, forAddon, delivery, taken);
    const release = ref ? holdProcess() : undefined;
    const stop = (): void => {
      delivery.shortenLimit();
      tail.stop();
    };
    watch = stopSignal && watchStopFlag(stopSignal, stop, readPace(options));
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
    try {
      await ended;
      return collect ? await tail.text() : "";
    } finally {
      watch?.forget();
      signal?.removeEventListener("abort", stop);
      delivery.close();
      release?.();
    }
  };
}

/** The user's times, or what the addon takes without them. */
function readPace({ pollMs, maxPollMs, idlePolls }: TailOptions): ReadPace {
  const time = (ms: number | undefined, usual: number): number =>
    ms !== undefined && Number.isFinite(ms) ? Math.max(1, ms) : usual;
  return { pollMs: time(pollMs, 250), maxPollMs: time(maxPollMs, 1_000), idlePolls: idlePolls ?? 5 };
}

/** Starts the tail; `ended` settles when it is over and everything is delivered. */
function follow(
  feed: TailFeed,
  filePath: string,
  options: string,
  delivery: LineDelivery,
  taken: () => void,
): { tail: RunningTail; ended: Promise<void> } {
  let tail!: RunningTail;
  const ended = new Promise<void>((resolve, reject) => {
    tail = feed.follow(filePath, options, {
      lines(text, done) {
        delivery.deliver("stdout", text, () => {
          taken();
          done();
        });
      },
      notice: (text, done) => delivery.deliver("stderr", statusLine(text), done),
      end: (failure) => (failure === undefined ? resolve() : reject(new Error(failure))),
    });
  });
  return { tail, ended };
}

let pendingTails = 0;
let keepAlive: NodeJS.Timeout | undefined;

/** Keeps the process alive until the returned function is called; the addon itself never does. */
function holdProcess(): () => void {
  pendingTails++;
  keepAlive ??= setInterval(() => {}, 2 ** 31 - 1);
  return () => {
    if (--pendingTails > 0) return;
    clearInterval(keepAlive);
    keepAlive = undefined;
  };
}
