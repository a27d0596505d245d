/** What a pod waits for on the node. The pod's stop ends each of these waits. */

import type { Container, ContainerState, Pod } from "../objects.js";
import { waiting } from "./container-state.js";
import { ConfigError } from "./env.js";
import type { Node } from "./node.js";
import { MountError } from "./volumes.js";

/** Shows a state of a container. */
export type Show = (state: ContainerState) => void;

export class PodWaits {
  readonly #node: Node;
  readonly #pod: Pod;
  readonly #listeners = new Set<() => void>();
  isStopped = false;

  constructor(node: Node, pod: Pod) {
    this.#node = node;
    this.#pod = pod;
  }

  stop(): void {
    this.isStopped = true;
    for (const listener of this.#listeners) listener();
  }

  /** Waits as long as a fault holds the container back, showing why. */
  async heldBack(container: Container, isMain: boolean, show: Show): Promise<void> {
    const { faults } = this.#node;
    const first = this.#pod.spec.containers[0]!.name;
    const hits = (kind: "image-pull" | "waiting") => {
      const fault = faults.forPod(kind, this.#pod.metadata.name, container.name);
      // Without a container's name a fault means the first main container.
      return fault && (fault.container !== undefined || (isMain && container.name === first)) ? fault : undefined;
    };
    let tried = false;
    for (;;) {
      const fault = hits("image-pull") ?? hits("waiting");
      if (!fault || this.isStopped) return;
      if (fault.kind === "waiting") show(waiting(fault.reason, fault.message));
      else if (!tried) {
        const { image } = container;
        const message = `failed to pull and unpack image "${image}": failed to resolve reference "${image}": not found`;
        show(waiting("ErrImagePull", fault.message ?? message));
        tried = true;
        await this.pause(200);
        continue;
      } else show(waiting("ImagePullBackOff", `Back-off pulling image "${container.image}"`));
      await this.#change();
    }
  }

  /** Tries again at every change in the cluster, as long as the pod is not stopped. */
  async retry<T>(attempt: () => T, failed: (error: Error) => void): Promise<T | undefined> {
    while (!this.isStopped) {
      try {
        return attempt();
      } catch (error) {
        if (!(error instanceof ConfigError) && !(error instanceof MountError)) throw error;
        failed(error);
      }
      await this.#change();
    }
    return undefined;
  }

  /** So long, or until a stop comes. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#listeners.add(done);
    });
  }

  /** The next change of an object or a fault, or the stop. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      const own = this.#pod.metadata.uid;
      const undo = [
        this.#node.store.onChange(({ object }) => void (object.metadata.uid !== own && done())),
        this.#node.faults.onChange(() => done()),
      ];
      const done = (): void => {
        for (const remove of undo) remove();
        this.#listeners.delete(done);
        // After the change is complete.
        setImmediate(resolve);
      };
      this.#listeners.add(done);
      if (this.isStopped) done();
    });
  }
}
