/** Mutable stop flags cannot announce that they were set, so one timer of the process reads all of them. */
/** A flag that its owner sets to end a tail. */
export interface StopSignal {
  stopped: boolean;
}

/** How often a flag is read: at the pace at which its file is. Times are in milliseconds. */
export interface ReadPace {
  /** While lines come. */
  pollMs: number;
  /** When none came for a while. */
  maxPollMs: number;
  /** Reads without a line until then. */
  idlePolls: number;
}

/** A flag that is being read. */
export interface FlagWatch {
  /** Lines came. Reads the flag now: whoever sets it in the middle of the lines does not wait for the timer. */
  check(): void;
  /** Reads it no more. */
  forget(): void;
}

const readers = new Set<FlagReader>();
let timer: NodeJS.Timeout | undefined;
let timerMs = Infinity;

/** Calls `stop` once the flag is set. */
export function watchStopFlag(flag: StopSignal, stop: () => void, pace: ReadPace): FlagWatch {
  const entry = new FlagReader(flag, stop, pace);
  if (!entry.stopIfSet()) {
    readers.add(entry);
    readEvery(Math.min(timerMs, pace.pollMs));
  }
  return entry;
}

class FlagReader implements FlagWatch {
  private idle = 0;

  constructor(
    private readonly flag: StopSignal,
    private readonly stop: () => void,
    private readonly pace: ReadPace,
  ) {}

  check(): void {
    if (!readers.has(this)) return;
    this.idle = 0;
    if (this.stopIfSet()) this.forget();
    else if (timerMs > this.pace.pollMs) readEvery(this.pace.pollMs);
  }

  forget(): void {
    readers.delete(this);
    if (readers.size === 0) readEvery(Infinity);
  }

  /** Called by the timer; says when it wants to be called again. */
  nextRead(): number {
    return ++this.idle >= this.pace.idlePolls ? Math.max(this.pace.maxPollMs, this.pace.pollMs) : this.pace.pollMs;
  }

  stopIfSet(): boolean {
    let stopped: boolean;
    try {
      stopped = Boolean(this.flag.stopped);
    } catch {
      // A flag that cannot be read any more cannot ask for more output either.
      stopped = true;
    }
    if (stopped) this.stop();
    return stopped;
  }
}

function readAll(): void {
  let soonest = Infinity;
  for (const entry of readers) {
    if (entry.stopIfSet()) readers.delete(entry);
    else soonest = Math.min(soonest, entry.nextRead());
  }
  readEvery(soonest);
}

function readEvery(ms: number): void {
  if (ms === timerMs) return;
  clearInterval(timer);
  timerMs = ms;
  // The tails hold the process, if they want to; their flags never do.
  timer = ms === Infinity ? undefined : setInterval(readAll, ms).unref();
}
