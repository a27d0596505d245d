/** Waiting for something that another process does. */
import { setTimeout as sleep } from "node:timers/promises";

/** Asks every `everyMs` until there is an answer; throws with what was waited for after `seconds`. */
export async function until<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T | null | undefined | false>,
  everyMs = 300,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await sleep(everyMs);
  }
}
