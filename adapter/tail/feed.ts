/** The tails of one addon: takes apart the batches in which the addon delivers what it found in all files. */
import type { Native, Tails } from "../addon/native.js";

/** What a tail gets, one thing at a time: the next one comes after `done` was called. */
interface TailListener {
  /** Whole lines of the log. */
  lines(text: string, done: () => void): void;
  /** A remark of the tail. */
  notice(text: string, done: () => void): void;
  /** The tail is over; `failure` says why nothing more could be read. */
  end(failure: string | undefined): void;
}

/** A tail that is on. */
export interface RunningTail {
  /** Ends the tail after one final read to the end of the file. */
  stop(): void;
  /** All its lines, once it is over, if it collects them. */
  text(): Promise<string>;
}

type Part = [kind: string, text: string];

/** Parts of a text that are joined in one turn of the event loop. */
const PARTS_A_TURN = 8;
/** After this time a long log goes on in the next turn of the event loop: Node would take batch after batch in one. */
const TURN_MS = 5;

const feeds = new WeakMap<Native, TailFeed>();

/** The feed of this addon; its tails share one callback. */
export function tailFeed(native: Native): TailFeed {
  let feed = feeds.get(native);
  if (!feed) {
    feed = new TailFeed(native);
    feeds.set(native, feed);
  }
  return feed;
}

/** See {@link tailFeed}. */
export class TailFeed {
  private readonly listeners = new Map<number, TailListener>();
  /** Tails whose lines are delivered, until the addon knows. */
  private taken: number[] = [];
  /** When this turn of the event loop brought its first batch. */
  private turnSince: number | undefined;
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
    return { stop: () => this.tails.stop(tail), text: () => this.textOf(tail) };
  }

  /** The joined string is a rope: nothing is copied until somebody reads it. */
  private async textOf(tail: number): Promise<string> {
    let text = "";
    for (let count = 1; ; count++) {
      const part = this.tails.text(tail);
      if (part === null) return text;
      text += part;
      // A host that has to copy the parts must not be held up by a long log.
      if (count % PARTS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** One crossing: the texts of several tails, and behind the last newline whose they are. */
  private take(batch: string): void {
    if (this.turnSince === undefined) {
      this.turnSince = performance.now();
      setImmediate(() => (this.turnSince = undefined)).unref();
    }
    const words = batch.slice(batch.lastIndexOf("\n") + 1).split(" ");
    let start = 0;
    let parts: Part[] = [];
    for (let at = 0; at < words.length; at += 3) {
      const end = start + Number(words[at + 2]);
      parts.push([words[at + 1] ?? "", batch.slice(start, end)]);
      start = end;
      if (words[at + 3] === words[at]) continue;
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
    const [kind, text] = part;
    if (kind === "o") return listener.lines(text, next);
    if (kind === "n") return listener.notice(text, next);
    this.listeners.delete(tail);
    listener.end(kind === "f" ? text : undefined);
    next();
  }

  private done(tail: number): void {
    if (this.taken.push(tail) > 1) return;
    const tell = (): void => this.tails.taken(this.taken.splice(0));
    // After the promises of this turn: most tails of a batch are done by then, and cross together.
    if (this.turnSince === undefined || performance.now() - this.turnSince < TURN_MS) process.nextTick(tell);
    else setImmediate(tell);
  }
}
