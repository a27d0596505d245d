/**
 * Native sidecars: init containers that run beside the main ones. One that ends is started again; when the main ones
 * have ended, the kubelet ends them, the last one first.
 */

import type { Container } from "../objects.js";

/** The first time one is started again at once, then after so long, then after twice that. */
const BACK_OFF_MS = 10_000;
const LONGEST_BACK_OFF_MS = 300_000;

/** What a pod does for its sidecars. */
export interface SidecarPod {
  /** Runs the container once; false where it is not to run any more. */
  runOnce(container: Container, onStart: () => void): Promise<boolean>;
  /** Shows that it will run again, after so long. */
  willRunAgain(name: string, restarts: number, backOffMs: number): void;
  terminate(name: string): void;
}

export class Sidecars {
  readonly #pod: SidecarPod;
  readonly #started: { name: string; isOver: Promise<void> }[] = [];
  readonly #wake = new Set<() => void>();
  #areEnding = false;

  constructor(pod: SidecarPod) {
    this.#pod = pod;
  }

  /** True when it runs; false when it never will. */
  start(container: Container): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const isOver = this.#keep(container, () => resolve(true)).then(() => resolve(false), reject);
      this.#started.push({ name: container.name, isOver });
    });
  }

  /** None is started again from now on. */
  restartNone(): void {
    this.#areEnding = true;
    for (const wake of this.#wake) wake();
  }

  /** Ends them, each when those that were started after it have ended. */
  async end(): Promise<void> {
    this.restartNone();
    for (const { name, isOver } of this.#started.reverse()) {
      this.#pod.terminate(name);
      await isOver;
    }
  }

  async #keep(container: Container, onStart: () => void): Promise<void> {
    for (let restarts = 1; (await this.#pod.runOnce(container, onStart)) && !this.#areEnding; restarts++) {
      const backOff = restarts === 1 ? 0 : Math.min(BACK_OFF_MS * 2 ** (restarts - 2), LONGEST_BACK_OFF_MS);
      this.#pod.willRunAgain(container.name, restarts, backOff);
      await this.#pause(backOff);
      if (this.#areEnding) return;
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake.add(done);
    });
  }
}
