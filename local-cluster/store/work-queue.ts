/**
 * How controllers react to changes: keys that wait for one pass each, after the change that named them is complete.
 * A key added while it waits is not added twice; a paused queue keeps its keys.
 */

export class WorkQueue {
  #waiting = new Set<string>();
  #scheduled = false;
  #paused = false;
  readonly #work: (key: string) => void;

  constructor(work: (key: string) => void) {
    this.#work = work;
  }

  add(key: string): void {
    this.#waiting.add(key);
    this.#schedule();
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#paused) return;
      const keys = [...this.#waiting];
      this.#waiting.clear();
      for (const key of keys) this.#work(key);
      this.#schedule();
    });
  }
}
