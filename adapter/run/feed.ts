/** The runs of one addon: takes apart the batches in which the addon delivers what all runs tell. */
import { describeError } from "../host/calls.js";
import type { Native, NativeRun, Runs } from "../addon/native.js";

/** Receives `(kind, payload)` of a run. Lines come when the last were taken; progress and events beside them. */
export type RunSink = (kind: string, payload: string) => Promise<void> | void;

/** A run that is driven by the addon. */
export type RunHandle = Pick<NativeRun, "cancel" | "result">;

const feeds = new WeakMap<Native, RunFeed>();

/** The feed of this addon; its runs share one callback. */
export function runFeed(native: Native): RunFeed {
  let feed = feeds.get(native);
  if (!feed) {
    feed = new RunFeed(native);
    feeds.set(native, feed);
  }
  return feed;
}

/** See {@link runFeed}. */
class RunFeed {
  private readonly sinks = new Map<number, RunSink>();
  /** Calls that have ended, until the addon knows. */
  private answered: number[] = [];
  private readonly runs: Runs;

  /** Opens the addon's runs with this feed as their callback. */
  constructor(native: Native) {
    this.runs = native.openRuns((batch) => this.take(batch));
  }

  /** Starts a run. */
  start(requestJson: string, sink: RunSink): RunHandle {
    // Batches come in later turns of the event loop, so that the sink is known in time.
    const run = this.runs.start(requestJson);
    this.sinks.set(run.number(), sink);
    return { cancel: (reason) => run.cancel(reason), result: () => this.resultOf(run) };
  }

  private async resultOf(run: NativeRun): Promise<string> {
    try {
      return await run.result();
    } finally {
      this.sinks.delete(run.number());
    }
  }

  /** One crossing: the payloads of several runs, and behind the last newline whose they are. */
  private take(batch: string): void {
    const words = batch.slice(batch.lastIndexOf("\n") + 1).split(" ");
    let start = 0;
    for (let at = 0; at + 3 < words.length; at += 4) {
      const end = start + Number(words[at + 3]);
      void this.call(Number(words[at]), Number(words[at + 1]), words[at + 2] ?? "", batch.slice(start, end));
      start = end;
    }
    this.runs.arrived();
  }

  /** Never rejects: whatever becomes of the call, its run knows of it. */
  private async call(run: number, call: number, kind: string, payload: string): Promise<void> {
    try {
      await this.sinks.get(run)?.(kind, payload);
    } catch (error) {
      return this.runs.failed(call, describeError(error));
    }
    // After the promises of this turn: most calls of a batch are answered by then, and cross together.
    if (this.answered.push(call) === 1) process.nextTick(() => this.runs.answered(this.answered.splice(0)));
  }
}
