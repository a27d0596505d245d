/** The faults that strike a pod at some moment of its run: out of memory, eviction, deletion, its own deadline. */

import type { Pod } from "../objects.js";
import { timestamp } from "../objects.js";
import { RESOURCES } from "../api/resources.js";
import type { PodFault } from "../faults/spec.js";
import { deleteObject } from "../store/deletion.js";
import type { Node } from "./node.js";
import type { PodWorker } from "./pod-worker.js";

type Striking = Extract<PodFault, { kind: "oom" | "evict" | "delete-pod" }>;

const KINDS = ["oom", "evict", "delete-pod"] as const;

const EVICTED = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 71Mi. ";

export class PodTroubles {
  readonly #node: Node;
  readonly #armed = new WeakMap<PodWorker, Set<Striking>>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(node: Node) {
    this.#node = node;
    // A fault that is asked for now also strikes the pods that run now.
    node.faults.onChange(() => {
      for (const worker of node.workers) if (worker.mainStarted) this.arm(worker);
    });
  }

  /** Called once the first main container runs. */
  arm(worker: PodWorker): void {
    // A pod that has ended must not use up a fault's count.
    if (worker.finished) return;
    const deadline = worker.pod.spec.activeDeadlineSeconds;
    if (deadline !== undefined && !this.#armed.has(worker)) {
      this.#later(deadline * 1000, () =>
        worker.fail("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),
      );
    }
    const armed = this.#armed.get(worker) ?? new Set<Striking>();
    this.#armed.set(worker, armed);
    for (const kind of KINDS) {
      const fault = this.#node.faults.forPod(kind, worker.pod.metadata.name);
      if (!fault || armed.has(fault)) continue;
      armed.add(fault);
      this.#later(fault.afterMs ?? 0, () => this.#strike(worker, fault));
    }
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #strike(worker: PodWorker, fault: Striking): void {
    const { pod } = worker;
    const { namespace, name } = pod.metadata;
    const main = fault.container ?? pod.spec.containers[0]!.name;
    if (worker.finished || !this.#node.store.get("pods", namespace, name)) return;
    if (fault.kind === "oom") return worker.oom(main, fault.exitCode === 0);
    if (fault.kind === "delete-pod") {
      deleteObject(this.#node.store, RESOURCES.pods!, namespace, name, fault.force ? { gracePeriodSeconds: 0 } : {});
      return;
    }
    const byNode = fault.mode !== "drain";
    this.#node.store.modify("pods", namespace, name, (draft: Pod) => {
      const reason = byNode ? "TerminationByKubelet" : "EvictionByEvictionAPI";
      const message = byNode ? EVICTED : "Eviction API: evicting";
      const disruption = {
        type: "DisruptionTarget",
        status: "True" as const,
        reason,
        message,
        lastProbeTime: null,
        lastTransitionTime: timestamp(),
      };
      draft.status.conditions = [...(draft.status.conditions ?? []), disruption];
    });
    if (byNode)
      worker.fail(
        "Evicted",
        `${EVICTED}Container ${main} was using 2Gi, request is 1Gi, has larger consumption of memory. `,
      );
    else deleteObject(this.#node.store, RESOURCES.pods!, namespace, name);
  }
}
