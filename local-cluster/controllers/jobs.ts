/**
 * The Job controller, for Jobs of one pod: makes the pod, counts its end, watches the deadline, and removes the Job
 * after its TTL. A pod that is deleted before it ended is replaced, whatever the backoff limit: only failed pods count.
 */

import type { Condition, Job, KubeObject, Pod } from "../objects.js";
import { generatedName, timestamp } from "../objects.js";
import { RESOURCES } from "../api/resources.js";
import { deleteObject } from "../store/deletion.js";
import type { Change, Store } from "../store/store.js";
import { WorkQueue } from "../store/work-queue.js";

interface JobControllerOptions {
  /** With `current` an end is first decided, and said when no pod runs any more. */
  order: "1.20" | "current";
  /** `fails-job` is how Kubernetes 1.26 and later count it, `replaced` how earlier ones do. */
  deletedPod: "replaced" | "fails-job";
  createPod: (pod: KubeObject) => void;
  /** Why no pod is admitted now. */
  refusesPods: () => string | undefined;
}

/** What the controller remembers of a Job besides what the Job says: API times have no milliseconds. */
interface Memory {
  startedAt?: number;
  finishedAt?: number;
  lostPods: number;
  isSuspended?: boolean;
  saidRefusal?: string;
  timer?: NodeJS.Timeout;
}

export class JobController {
  readonly queue = new WorkQueue((key) => this.#reconcile(key));
  readonly #store: Store;
  readonly #options: JobControllerOptions;
  readonly #memories = new Map<string, Memory>();

  constructor(store: Store, options: JobControllerOptions) {
    this.#store = store;
    this.#options = options;
    store.onChange((change) => this.#notice(change));
  }

  stop(): void {
    for (const memory of this.#memories.values()) clearTimeout(memory.timer);
  }

  #notice({ type, resource, object }: Change): void {
    if (resource === "jobs") this.queue.add(`${object.metadata.namespace}/${object.metadata.name}`);
    if (resource !== "pods") return;
    const owner = object.metadata.ownerReferences?.find(
      (reference) => reference.controller && reference.kind === "Job",
    );
    if (!owner) return;
    const { phase } = (object as Pod).status;
    const memory = this.#memory(owner.uid);
    if (type === "DELETED" && phase !== "Succeeded" && phase !== "Failed" && !memory.isSuspended) memory.lostPods++;
    this.queue.add(`${object.metadata.namespace}/${owner.name}`);
  }

  #memory(uid: string): Memory {
    let memory = this.#memories.get(uid);
    if (!memory) {
      memory = { lostPods: 0 };
      this.#memories.set(uid, memory);
    }
    return memory;
  }

  #reconcile(key: string): void {
    const [namespace, name] = key.split("/") as [string, string];
    const job = this.#store.get("jobs", namespace, name) as Job | undefined;
    if (!job) return this.#forgetAbsent();
    if (job.metadata.deletionTimestamp) return;
    const memory = this.#memory(job.metadata.uid);
    if (isFinished(job)) return this.#expire(job, memory);
    if (job.spec.suspend) return this.#suspend(job, memory);
    memory.isSuspended = false;

    memory.startedAt ??= Date.now();
    const pods = this.#podsOf(job);
    const leaving = pods.filter((pod) => pod.metadata.deletionTimestamp);
    const staying = pods.filter((pod) => !pod.metadata.deletionTimestamp);
    const succeeded = pods.filter((pod) => pod.status.phase === "Succeeded").length;
    let failed = staying.filter((pod) => pod.status.phase === "Failed").length;
    if (this.#options.deletedPod === "fails-job") {
      failed += memory.lostPods + leaving.filter((pod) => pod.status.phase !== "Succeeded").length;
    }
    let active = staying.filter((pod) => pod.status.phase !== "Succeeded" && pod.status.phase !== "Failed");
    const deadline = job.spec.activeDeadlineSeconds;
    const left = deadline === undefined ? Infinity : memory.startedAt + deadline * 1000 - Date.now();

    const isCurrent = this.#options.order === "current";
    const decided = decision(job);
    let end: Condition | undefined;
    if (decided)
      end = condition(decided.type === "FailureTarget" ? "Failed" : "Complete", decided.reason, decided.message);
    else if (succeeded > 0)
      end = isCurrent
        ? condition("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        : condition("Complete");
    else if (failed > job.spec.backoffLimit) {
      end = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
    } else if (left <= 0)
      end = condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline");

    if (end) {
      for (const pod of active) deleteObject(this.#store, RESOURCES.pods!, namespace, pod.metadata.name);
      active = [];
    } else if (active.length === 0) {
      const refusal = this.#options.refusesPods();
      if (refusal === undefined) active = [this.#startPod(job)];
      else this.#sayRefusal(job, memory, refusal);
    }
    const ending = pods.filter(({ status }) => status.phase !== "Succeeded" && status.phase !== "Failed");
    if (end && isCurrent) {
      if (!decided) end = { ...end, type: end.type === "Failed" ? "FailureTarget" : "SuccessCriteriaMet" };
      else if (ending.length > 0) end = undefined;
    }
    const isOver = end?.type === "Complete" || end?.type === "Failed";
    if (isOver) memory.finishedAt = Date.now();
    this.#store.modify("jobs", namespace, name, (draft: Job) => {
      const status = draft.status;
      status.startTime ??= timestamp();
      if (isCurrent) status["terminating"] = ending.filter((pod) => !active.includes(pod)).length;
      setCount(status, "active", active.length);
      setCount(status, "ready", active.filter((pod) => pod.status.phase === "Running").length);
      setCount(status, "succeeded", succeeded);
      setCount(status, "failed", failed);
      if (!end) return;
      status.conditions = [...(status.conditions ?? []), end];
      if (end.type === "Complete") status.completionTime = timestamp();
    });
    if (!end && !decided && left !== Infinity) this.#wake(job, memory, left);
  }

  #podsOf(job: Job): Pod[] {
    return this.#store.ownedBy(job.metadata.uid).flatMap(([kind, object]) => (kind === "pods" ? [object as Pod] : []));
  }

  /** A suspended Job has no pods, and its deadline begins anew when it goes on. */
  #suspend(job: Job, memory: Memory): void {
    memory.isSuspended = true;
    delete memory.startedAt;
    clearTimeout(memory.timer);
    const { namespace, name } = job.metadata;
    for (const pod of this.#podsOf(job))
      if (!pod.metadata.deletionTimestamp) deleteObject(this.#store, RESOURCES.pods!, namespace, pod.metadata.name);
    this.#store.modify("jobs", namespace, name, (draft: Job) => {
      delete draft.status.startTime;
      setCount(draft.status, "active", 0);
      setCount(draft.status, "ready", 0);
    });
  }

  /** The controller tells nobody else; a real one says it again and again. */
  #sayRefusal(job: Job, memory: Memory, refusal: string): void {
    if (memory.saidRefusal === refusal) return;
    memory.saidRefusal = refusal;
    const { namespace, name, uid } = job.metadata;
    const now = timestamp();
    this.#store.create("events", {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: generatedName(`${name.slice(0, 40)}.`), namespace } as KubeObject["metadata"],
      involvedObject: { apiVersion: "batch/v1", kind: "Job", namespace, name, uid },
      type: "Warning",
      reason: "FailedCreate",
      message: `Error creating: ${refusal}`,
      source: { component: "job-controller" },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    });
  }

  /** Once finished, only the TTL is left to watch. */
  #expire(job: Job, memory: Memory): void {
    clearTimeout(memory.timer);
    const ttl = job.spec.ttlSecondsAfterFinished;
    if (ttl === undefined) return;
    const left = (memory.finishedAt ?? Date.now()) + ttl * 1000 - Date.now();
    if (left > 0) return this.#wake(job, memory, left);
    const { namespace, name, uid } = job.metadata;
    deleteObject(this.#store, RESOURCES.jobs!, namespace, name, {
      propagationPolicy: "Foreground",
      preconditions: { uid },
    });
  }

  #wake(job: Job, memory: Memory, ms: number): void {
    clearTimeout(memory.timer);
    // Longer delays than a timer can hold are asked again when it fires.
    memory.timer = setTimeout(
      () => this.queue.add(`${job.metadata.namespace}/${job.metadata.name}`),
      Math.min(ms, 2 ** 31 - 1),
    );
  }

  #forgetAbsent(): void {
    const alive = new Set(this.#store.list("jobs").map((job) => job.metadata.uid));
    for (const [uid, memory] of this.#memories) {
      if (alive.has(uid)) continue;
      clearTimeout(memory.timer);
      this.#memories.delete(uid);
    }
  }

  #startPod(job: Job): Pod {
    const { template } = job.spec;
    const { namespace, name, uid } = job.metadata;
    const podName = generatedName(`${name}-`);
    this.#options.createPod({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...(structuredClone(template.metadata) as object),
        name: podName,
        generateName: `${name}-`,
        namespace,
        ownerReferences: [
          { apiVersion: "batch/v1", kind: "Job", name, uid, controller: true, blockOwnerDeletion: true },
        ],
      } as KubeObject["metadata"],
      spec: structuredClone(template.spec),
    });
    return this.#store.get("pods", namespace, podName) as Pod;
  }
}

function isFinished(job: Job): boolean {
  return (
    job.status.conditions?.some(
      ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
    ) ?? false
  );
}

/** What a current controller has decided about the Job's end and not said yet. */
function decision(job: Job): Condition | undefined {
  const isDecision = ({ type, status }: Condition): boolean =>
    (type === "SuccessCriteriaMet" || type === "FailureTarget") && status === "True";
  return job.status.conditions?.find(isDecision);
}

function condition(type: string, reason?: string, message?: string): Condition {
  const now = timestamp();
  return {
    type,
    status: "True",
    lastProbeTime: now,
    lastTransitionTime: now,
    ...(reason ? { reason } : {}),
    ...(message ? { message } : {}),
  };
}

/** The API leaves zero counts out. */
function setCount(status: Job["status"], field: "active" | "ready" | "succeeded" | "failed", count: number): void {
  if (count > 0) status[field] = count;
  else delete status[field];
}
