/** Mutable stop flags cannot announce that they were set, so one timer of the process reads all of them. */
import type { StopSignal } from "./tail.js";

/** How often the flags are read: as often as a growing file. A timer costs more than all that it reads. */
const READ_MS = 250;

interface Watched {
  flag: StopSignal;
  stop: () => void;
}

const watched = new Set<Watched>();
let timer: NodeJS.Timeout | undefined;

/** A flag that is being read. */
export interface FlagWatch {
  /** Reads it now: whoever sets it in the middle of the lines does not wait for the timer. */
  check(): void;
  /** Reads it no more. */
  forget(): void;
}

/** Calls `stop` once the flag is set. */
export function watchStopFlag(flag: StopSignal, stop: () => void): FlagWatch {
  const entry = { flag, stop };
  if (stopIfSet(entry)) return { check() {}, forget() {} };
  watched.add(entry);
  // The tails hold the process, if they want to; their flags never do.
  timer ??= setInterval(readAll, READ_MS).unref();
  return {
    check() {
      if (watched.has(entry) && stopIfSet(entry)) forget(entry);
    },
    forget: () => forget(entry),
  };
}

function readAll(): void {
  for (const entry of watched) {
    if (stopIfSet(entry)) forget(entry);
  }
}

function stopIfSet({ flag, stop }: Watched): boolean {
  let stopped: boolean;
  try {
    stopped = Boolean(flag.stopped);
  } catch {
    // A flag that cannot be read any more cannot ask for more output either.
    stopped = true;
  }
  if (stopped) stop();
  return stopped;
}

function forget(entry: Watched): void {
  watched.delete(entry);
  if (watched.size === 0) {
    clearInterval(timer);
    timer = undefined;
  }
}
