/** Hands lines to a callback one at a time, whatever that callback does: it may throw, reject, or never answer. */
import { callHost, describeError, HOST_CALL_LIMIT_MS, statusLine } from "../host/calls.js";
import { unwatch, type Waiter, watch } from "./watchdog.js";

/** How long a call may go on once the tail was asked to stop: whoever stops it waits for its end. */
const STOPPED_LIMIT_MS = 2_000;

/** The host's log callback. */
export type OnLog = (stream: "stdout" | "stderr", chunk: string) => Promise<void> | void;

type Stream = "stdout" | "stderr";

/** Whole lines on their way, and where the next one starts. */
interface Batch {
  stream: Stream;
  text: string;
  start: number;
  done: () => void;
}

/** Delivers batches of whole lines. Not reentrant: the next batch comes after the last one was taken. */
export class LineDelivery implements Waiter {
  private readonly reported = new Set<string>();
  private batch: Batch | null = null;
  /** Grows when a call is given up: the loop that waits for it is no longer the one that goes on. */
  private turn = 0;
  /** Calls made; the watchdog sees by it whether one call takes long. A clock for each line would cost more. */
  private calls = 0;
  private waiting = false;
  /** Calls that never answered. While there is one, later calls are made without waiting for them. */
  private unanswered = 0;
  private checkEvery: number;
  private watched = { call: -1, since: 0 };

  /** `limitMs`: how long one call may take before the tail goes on without it. */
  constructor(
    private readonly onLog: OnLog,
    private limitMs: number = HOST_CALL_LIMIT_MS,
  ) {
    this.checkEvery = interval(limitMs);
  }

  /** From now on a call that does not answer is given up sooner. */
  shortenLimit(): void {
    this.limitMs = Math.min(this.limitMs, STOPPED_LIMIT_MS);
  }

  /** Takes whole lines as one text and hands them out one by one, each with its newline; then calls `done`. */
  deliver(stream: Stream, text: string, done: () => void): void {
    this.batch = { stream, text, start: 0, done };
    watch(this, this.checkEvery);
    void this.run(this.batch, this.turn);
  }

  /** What is still being delivered goes out without waiting for answers. */
  close(): void {
    unwatch(this, this.checkEvery);
    if (this.waiting) this.giveUp();
  }

  /** Goes on with the batch until it is out, or until the call it waits for is given up. */
  private async run(batch: Batch, turn: number): Promise<void> {
    const { onLog } = this;
    const { stream, text } = batch;
    while (batch.start < text.length) {
      const newline = text.indexOf("\n", batch.start);
      const line = newline < 0 ? `${text.slice(batch.start)}\n` : text.slice(batch.start, newline + 1);
      batch.start = newline < 0 ? text.length : newline + 1;
      this.calls++;
      try {
        const answer: unknown = onLog(stream, line);
        if (typeof (answer as PromiseLike<void> | undefined)?.then !== "function") continue;
        if (this.unanswered > 0) {
          (answer as PromiseLike<void>).then(undefined, (error: unknown) => this.report("rejected a line", error));
          continue;
        }
        this.waiting = true;
        await answer;
      } catch (error) {
        this.report(this.waiting || turn !== this.turn ? "rejected a line" : "threw", error);
      }
      if (turn !== this.turn) {
        // This call was given up and has answered after all: another loop has gone on.
        this.unanswered--;
        return;
      }
      this.waiting = false;
    }
    this.batch = null;
    this.watched.call = -1;
    unwatch(this, this.checkEvery);
    batch.done();
  }

  private giveUp(): void {
    this.unanswered++;
    this.waiting = false;
    this.turn++;
    if (this.batch) void this.run(this.batch, this.turn);
  }

  /** Called by the watchdog while a batch is being delivered. */
  check(): void {
    if (!this.waiting) return;
    const now = performance.now();
    if (this.watched.call !== this.calls) {
      this.watched = { call: this.calls, since: now };
    } else if (now - this.watched.since >= this.limitMs) {
      this.giveUp();
      this.report("does not answer", new Error(`waited ${this.limitMs} ms; lines are handed over without waiting`));
    }
  }

  private report(what: string, error: unknown): void {
    if (this.reported.has(what)) return;
    this.reported.add(what);
    const line = statusLine(`Warning: onLog ${what}, the tail goes on: ${describeError(error)}`);
    // Not awaited: a callback that fails here as well must not hold up the tail.
    void callHost(() => this.onLog("stderr", line));
  }
}

/** Often enough for short limits, seldom for the usual one. */
function interval(limitMs: number): number {
  return Math.min(250, Math.max(1, limitMs / 4));
}
