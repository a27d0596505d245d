/**
 * The one node: binds pods, runs them, reports their status, and ends those that are deleted. While it is frozen (the
 * kubelet is down, or the API cannot be reached) containers run on and nothing is reported.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Condition, Pod } from "../objects.js";
import { timestamp } from "../objects.js";
import { RESOURCES } from "../api/resources.js";
import type { Faults } from "../faults/registry.js";
import { SHARED_CLAIM } from "../seed.js";
import { deleteObject } from "../store/deletion.js";
import type { Store } from "../store/store.js";
import { WorkQueue } from "../store/work-queue.js";
import type { ImageOptions } from "./container-setup.js";
import { Environment } from "./env.js";
import { PodWorker } from "./pod-worker.js";
import { podStatus } from "./pod-status.js";
import { Reaper } from "./reaper.js";
import { NODE_NAME, unschedulable } from "./scheduler.js";
import { killStrays } from "./strays.js";
import { PodTroubles } from "./troubles.js";

const SWEEP_MS = 50;
const OUT_OF_CPU = "Node didn't have enough resource: cpu, requested: 1000, used: 3500, capacity: 4000";

interface NodeOptions {
  order: "1.20" | "current";
  root: string;
  dataDir: string;
  apiPort: number;
  mapping: "text" | "mount";
  binDir?: string;
  images: Record<string, ImageOptions>;
}

export class Node {
  readonly queue = new WorkQueue((uid) => this.#sync(uid));
  readonly store: Store;
  readonly faults: Faults;
  /** Whether a container's end is told before its pod's phase. */
  readonly order: "1.20" | "current";
  readonly reaper = new Reaper();
  readonly podsDir: string;
  readonly #options: NodeOptions;
  readonly #environment: Environment;
  readonly #workers = new Map<string, PodWorker>();
  readonly #unreported = new Set<PodWorker>();
  readonly #troubles: PodTroubles;
  readonly #ended = new Set<string>();
  #sweep: NodeJS.Timeout | undefined;
  #frozen = false;

  constructor(store: Store, faults: Faults, options: NodeOptions) {
    this.store = store;
    this.faults = faults;
    this.order = options.order;
    this.#options = options;
    this.podsDir = join(options.root, "pods");
    mkdirSync(this.podsDir, { recursive: true });
    this.#environment = new Environment(store, options.apiPort);
    this.#troubles = new PodTroubles(this);
    store.onChange(({ resource, object }) => {
      if (resource === "pods") this.queue.add(object.metadata.uid);
      // A claim or a deleted pod may be what an unschedulable pod waited for.
      if (resource === "persistentvolumeclaims") this.#syncUnbound();
    });
    faults.onChange(() => this.#syncUnbound());
  }

  claimDir = (namespace: string, claim: string): string =>
    claim === SHARED_CLAIM ? this.#options.dataDir : join(this.#options.root, "claims", namespace, claim);

  outputFile(pod: Pod, container: string): string {
    const folder = join(this.#options.root, "logs", pod.metadata.namespace!, pod.metadata.name);
    mkdirSync(folder, { recursive: true });
    return join(folder, `${container}.log`);
  }

  setup(image: string): { environment: Environment; mapping: "text" | "mount"; image: ImageOptions } {
    const { binDir, images, mapping } = this.#options;
    return { environment: this.#environment, mapping, image: { ...(binDir ? { binDir } : {}), ...images[image] } };
  }

  get workers(): PodWorker[] {
    return [...this.#workers.values()];
  }

  mainStarted(worker: PodWorker): void {
    this.#troubles.arm(worker);
  }

  freeze(frozen: boolean): void {
    this.#frozen = frozen;
    this.queue.pause(frozen);
    if (frozen) return;
    for (const worker of [...this.#unreported]) this.publish(worker);
  }

  /** Ends everything at once. */
  async stop(): Promise<void> {
    this.#frozen = true;
    this.queue.pause(true);
    this.#troubles.stop();
    clearTimeout(this.#sweep);
    for (const worker of this.#workers.values()) worker.stop(0);
    await this.reaper.stop();
  }

  publish(worker: PodWorker): void {
    if (this.#frozen) return void this.#unreported.add(worker);
    this.#unreported.delete(worker);
    const { namespace, name, uid } = worker.pod.metadata;
    this.store.modify("pods", namespace, name, (pod: Pod) => {
      if (pod.metadata.uid !== uid) return;
      const status = podStatus(pod, worker.facts);
      if (worker.hide === "phase") status.phase = pod.status.phase;
      if (worker.hide === "state") status.containerStatuses = pod.status.containerStatuses ?? [];
      pod.status = status;
    });
    if (worker.finished) this.queue.add(uid);
  }

  #sync(uid: string): void {
    const pod = this.store.withUid(uid)?.[1] as Pod | undefined;
    const worker = this.#workers.get(uid);
    if (!pod) {
      // Deleted by force: the kubelet still gives its processes a second.
      worker?.stop(1);
      if (worker?.finished) this.#workers.delete(uid);
      return;
    }
    const { namespace, name, deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
    if (!pod.spec.nodeName) return this.#bind(pod);
    if (pod.spec.nodeName !== NODE_NAME || pod.metadata.annotations?.["local-cluster/static"]) {
      if (deletionTimestamp) this.store.remove("pods", namespace, name);
      return;
    }
    if (!worker && !deletionTimestamp && pod.status.phase === "Pending") return this.#start(pod);
    if (!deletionTimestamp) return;
    worker?.stop(deletionGracePeriodSeconds ?? 30);
    if (!worker || worker.finished) {
      this.#workers.delete(uid);
      deleteObject(this.store, RESOURCES.pods!, namespace, name, { gracePeriodSeconds: 0 });
    }
  }

  #start(pod: Pod): void {
    const rejected = this.faults.forPod("reject", pod.metadata.name);
    if (rejected) return this.#reject(pod, rejected);
    const worker = new PodWorker(this, pod);
    this.#workers.set(pod.metadata.uid, worker);
    worker.run().then(
      () => {
        this.queue.add(pod.metadata.uid);
        this.#sweepStrays(pod.metadata.name);
      },
      (error: unknown) => {
        console.error(error);
        worker.fail("NodeError", String(error));
      },
    );
  }

  /** A kubelet that does not take a pod says nothing of its containers. */
  #reject(pod: Pod, { reason = "OutOfcpu", message = OUT_OF_CPU }: { reason?: string; message?: string }): void {
    const { namespace, name } = pod.metadata;
    this.store.modify("pods", namespace, name, (draft: Pod) => {
      Object.assign(draft.status, { phase: "Failed", reason, message: `Pod was rejected: ${message}` });
      draft.status.startTime = timestamp();
    });
  }

  /** One look at the machine's processes for all pods that ended lately. */
  #sweepStrays(pod: string): void {
    this.#ended.add(pod.slice(0, 63));
    this.#sweep ??= setTimeout(() => {
      killStrays(this.#options.apiPort, this.#ended);
      this.#ended.clear();
      this.#sweep = undefined;
    }, SWEEP_MS);
  }

  #bind(pod: Pod): void {
    const { namespace, name } = pod.metadata;
    const why = unschedulable(this.store, this.faults, pod);
    this.store.modify("pods", namespace, name, (draft: Pod) => {
      const others = (draft.status.conditions ?? []).filter(({ type }) => type !== "PodScheduled");
      if (!why) {
        draft.spec.nodeName = NODE_NAME;
        draft.status.conditions = [...others, scheduled("True")];
      } else if (draft.status.conditions?.find(({ type }) => type === "PodScheduled")?.message !== why) {
        draft.status.conditions = [...others, { ...scheduled("False"), reason: "Unschedulable", message: why }];
      }
    });
  }

  #syncUnbound(): void {
    for (const pod of this.store.list("pods") as Pod[]) if (!pod.spec.nodeName) this.queue.add(pod.metadata.uid);
  }
}

const scheduled = (status: "True" | "False"): Condition => ({
  type: "PodScheduled",
  status,
  lastProbeTime: null,
  lastTransitionTime: timestamp(),
});
