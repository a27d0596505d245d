/** The tails of one addon: takes apart the batches in which the addon delivers what it found in all files. */
import type { Native, Tails } from "./native.js";

/** What a tail gets, one thing at a time: the next one comes after `done` was called. */
export interface TailListener {
  /** Whole lines of the log. `bytes` is their size in the file. */
  lines(text: string, bytes: number, done: () => void): void;
  /** A remark of the tail. */
  notice(text: string, done: () => void): void;
  /** The tail is over; `failure` says why nothing more could be read. */
  end(failure: string | undefined): void;
}

/** A tail that is on. */
export interface RunningTail {
  /** Ends the tail after one final read to the end of the file. */
  stop(): void;
}

type Part = [kind: string, text: string, bytes: number];

const feeds = new WeakMap<Native, TailFeed>();

/** The feed of this addon; its tails share one callback. */
export function tailFeed(native: Native): TailFeed {
  let feed = feeds.get(native);
  if (!feed) feeds.set(native, (feed = new TailFeed(native)));
  return feed;
}

/** See {@link tailFeed}. */
export class TailFeed {
  private readonly listeners = new Map<number, TailListener>();
  /** Tails whose lines are delivered, until the addon is told. */
  private taken: number[] = [];
  private readonly tails: Tails;

  /** Opens the addon's tails with this feed as their callback. */
  constructor(native: Native) {
    this.tails = native.openTails((batch) => this.take(batch));
  }

  /** Starts to follow a file. */
  follow(path: string, options: string, listener: TailListener): RunningTail {
    // Batches come in later turns of the event loop, so that the listener is known in time.
    const tail = this.tails.follow(path, options);
    this.listeners.set(tail, listener);
    return { stop: () => this.tails.stop(tail) };
  }

  /** One crossing: the texts of several tails, and behind the last newline whose they are. */
  private take(batch: string): void {
    const words = batch.slice(batch.lastIndexOf("\n") + 1).split(" ");
    let start = 0;
    let parts: Part[] = [];
    for (let at = 0; at < words.length; at += 4) {
      const end = start + Number(words[at + 2]);
      parts.push([words[at + 1] ?? "", batch.slice(start, end), Number(words[at + 3])]);
      start = end;
      if (words[at + 4] === words[at]) continue;
      this.give(Number(words[at]), parts, 0);
      parts = [];
    }
    this.tails.arrived();
  }

  /** Gives a tail its parts one after the other, from `at` on. */
  private give(tail: number, parts: Part[], at: number): void {
    const listener = this.listeners.get(tail);
    const part = parts[at];
    if (!part || !listener) return this.done(tail);
    const next = (): void => this.give(tail, parts, at + 1);
    const [kind, text, bytes] = part;
    if (kind === "o") return listener.lines(text, bytes, next);
    if (kind === "n") return listener.notice(text, next);
    this.listeners.delete(tail);
    listener.end(kind === "f" ? text : undefined);
    next();
  }

  private done(tail: number): void {
    // After the promises of this turn: most tails of a batch are done by then, and cross together.
    if (this.taken.push(tail) === 1) process.nextTick(() => this.tails.taken(this.taken.splice(0)));
  }
}
