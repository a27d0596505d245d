/** Hands lines to a callback one at a time, whatever that callback does: it may throw, reject, or never answer. */
import { callHost, describeError, HOST_CALL_LIMIT_MS, statusLine } from "./host.js";

/** How long a call may go on once the tail was asked to stop: whoever stops it waits for its end. */
const STOPPED_LIMIT_MS = 2_000;

/** The host's log callback. */
export type OnLog = (stream: "stdout" | "stderr", chunk: string) => Promise<void> | void;

type Stream = "stdout" | "stderr";

/** Delivers batches of whole lines. Not reentrant: the addon sends the next batch after the last one was taken. */
export class LineDelivery {
  private readonly reported = new Set<string>();
  /** Ends the wait for the call that is running now. */
  private giveUp: (() => void) | null = null;
  private callStartedAt = 0;
  /** Calls that never answered. While there is one, later calls are made without waiting for them. */
  private unanswered = 0;
  private watchdog: NodeJS.Timeout | undefined;

  /** `limitMs`: how long one call may take before the tail goes on without it. */
  constructor(
    private readonly onLog: OnLog,
    private limitMs: number = HOST_CALL_LIMIT_MS,
  ) {}

  /** From now on a call that does not answer is given up sooner. */
  hurry(): void {
    this.limitMs = Math.min(this.limitMs, STOPPED_LIMIT_MS);
  }

  /** Takes whole lines as one text and hands them out one by one, each with its newline. */
  async deliver(stream: Stream, text: string): Promise<void> {
    let start = 0;
    while (start < text.length) {
      const newline = text.indexOf("\n", start);
      const end = newline < 0 ? text.length : newline;
      const answer = this.call(stream, `${text.slice(start, end)}\n`);
      if (answer !== undefined) await this.settle(answer);
      start = end + 1;
    }
  }

  /** Releases the timer. What is still being delivered goes out without waiting for answers. */
  close(): void {
    clearInterval(this.watchdog);
    this.watchdog = undefined;
    this.giveUp?.();
  }

  /** The callback's promise; `undefined` when there is nothing to wait for. */
  private call(stream: Stream, line: string): PromiseLike<void> | undefined {
    try {
      const answer: unknown = this.onLog(stream, line);
      const { then } = (answer ?? {}) as Partial<PromiseLike<void>>;
      return typeof then === "function" ? (answer as PromiseLike<void>) : undefined;
    } catch (error) {
      this.report("threw", error);
      return undefined;
    }
  }

  /** Waits for one call. A race with a timer would leave a reaction on the losing promise for every line. */
  private settle(answer: PromiseLike<void>): Promise<void> | undefined {
    const onError = (error: unknown): void => this.report("rejected a line", error);
    if (this.unanswered > 0) {
      answer.then(undefined, onError);
      return undefined;
    }
    return new Promise((resolve) => {
      let gaveUp = false;
      const done = (): void => {
        if (gaveUp) this.unanswered--;
        else this.giveUp = null;
        resolve();
      };
      this.callStartedAt = performance.now();
      this.giveUp = () => {
        gaveUp = true;
        this.giveUp = null;
        this.unanswered++;
        resolve();
      };
      this.watchdog ??= setInterval(() => this.checkLimit(), Math.min(250, Math.max(1, this.limitMs / 4))).unref();
      answer.then(done, (error: unknown) => {
        onError(error);
        done();
      });
    });
  }

  private checkLimit(): void {
    if (this.giveUp === null || performance.now() - this.callStartedAt < this.limitMs) return;
    this.giveUp();
    this.report("does not answer", new Error(`waited ${this.limitMs} ms; lines are handed over without waiting`));
  }

  private report(what: string, error: unknown): void {
    if (this.reported.has(what)) return;
    this.reported.add(what);
    const line = statusLine(`Warning: onLog ${what}, the tail goes on: ${describeError(error)}`);
    // Not awaited: a callback that fails here as well must not hold up the tail.
    void callHost(() => this.onLog("stderr", line));
  }
}
