/** Mutable stop flags cannot announce that they were set, so one timer of the process reads all of them. */
import type { StopSignal } from "./tail.js";

/** How often the flags are read. */
const READ_MS = 50;

interface Watched {
  flag: StopSignal;
  stop: () => void;
}

const watched = new Set<Watched>();
let timer: NodeJS.Timeout | undefined;

/** Calls `stop` once the flag is set; the returned function forgets the flag. */
export function watchStopFlag(flag: StopSignal, stop: () => void): () => void {
  const entry = { flag, stop };
  if (stopIfSet(entry)) return () => {};
  watched.add(entry);
  // The tails hold the process, if they want to; their flags never do.
  timer ??= setInterval(readAll, READ_MS).unref();
  return () => forget(entry);
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
