/** Shared timers that look after calls which may never answer: one for each interval, only while there are calls. */

/** Whoever waits for a call. */
export interface Waiter {
  /** Looks whether the call takes too long. */
  check(): void;
}

interface Round {
  timer: NodeJS.Timeout;
  waiting: Set<Waiter>;
}

const rounds = new Map<number, Round>();

/** Has `who` checked about every `everyMs` until {@link unwatch}. Cheap enough for each batch of lines. */
export function watch(who: Waiter, everyMs: number): void {
  let round = rounds.get(everyMs);
  if (!round) {
    const waiting = new Set<Waiter>();
    const timer = setInterval(() => checkAll(everyMs, waiting), everyMs).unref();
    round = { timer, waiting };
    rounds.set(everyMs, round);
  }
  round.waiting.add(who);
}

/** Ends what {@link watch} began. */
export function unwatch(who: Waiter, everyMs: number): void {
  rounds.get(everyMs)?.waiting.delete(who);
}

/** The timer outlives the last call by one interval, so that it is not made anew for each batch. */
function checkAll(everyMs: number, waiting: Set<Waiter>): void {
  for (const who of waiting) who.check();
  if (waiting.size > 0) return;
  clearInterval(rounds.get(everyMs)?.timer);
  rounds.delete(everyMs);
}
