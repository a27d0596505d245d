/** The faults in force, and which of them hit a request or a pod. */

import { badRequest } from "../api/status.js";
import type { Fault, PodFault, RequestFault } from "./spec.js";

interface RequestFacts {
  verb: string;
  resource: string;
  name: string;
}

interface Standing {
  id: number;
  fault: Fault;
  left: number;
  skip: number;
  /** A pod is hit at most once by a fault, but asked about many times. */
  pods: Map<string, boolean>;
}

type OfKind<K extends Fault["kind"]> = Extract<Fault, { kind: K }>;

const matches = (pattern: string | undefined, text: string): boolean =>
  pattern === undefined || new RegExp(`^(?:${pattern})$`).test(text);

export class Faults {
  #standing: Standing[] = [];
  #nextId = 1;
  #listeners = new Set<() => void>();

  add(fault: Fault): number {
    const id = this.#nextId++;
    const { count = Infinity, skip = 0 } = fault as RequestFault;
    this.#standing.push({ id, fault, left: count, skip, pods: new Map() });
    this.#changed();
    return id;
  }

  /** Clears one fault, or all. */
  clear(id?: number): void {
    this.#standing = id === undefined ? [] : this.#standing.filter((standing) => standing.id !== id);
    this.#changed();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  isOn(kind: Fault["kind"]): boolean {
    return this.#standing.some((standing) => standing.fault.kind === kind);
  }

  /** Why no pod of a Job is admitted, if none is. */
  podRefusal(): string | undefined {
    for (const { fault } of this.#standing) {
      if (fault.kind === "deny-pods")
        return fault.message ?? "pods are forbidden: exceeded quota: pods, limited: pods=0";
    }
    return undefined;
  }

  /** What is warned of when such an object is created. */
  warningsOf(resource: string): string[] {
    return this.#standing.flatMap(({ fault }) =>
      fault.kind === "warn" && matches(fault.resource, resource) ? [fault.text] : [],
    );
  }

  isStanding(fault: Fault): boolean {
    return this.#standing.some((standing) => standing.fault === fault);
  }

  /** Resolves when the fault stands no more. */
  cleared(fault: Fault): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.isStanding(fault)) return;
        this.#listeners.delete(look);
        resolve();
      };
      this.#listeners.add(look);
      look();
    });
  }

  /** The first fault that hits this request; it counts as having happened. */
  forRequest(request: RequestFacts): RequestFault | undefined {
    for (const standing of this.#standing) {
      if (!isRequestFault(standing.fault) || standing.left <= 0) continue;
      const { verb, resource, name } = standing.fault;
      if (!matches(verb, request.verb) || !matches(resource, request.resource) || !matches(name, request.name))
        continue;
      if (WATCH_ONLY.has(standing.fault.kind) && request.verb !== "watch") continue;
      if (standing.skip > 0) {
        standing.skip--;
        continue;
      }
      standing.left--;
      return standing.fault;
    }
    return undefined;
  }

  /** A 403 on a verb also makes an access review answer no; asking does not use the fault up. */
  denies(verb: string, resource: string): boolean {
    return this.#standing.some(
      ({ fault, left }) =>
        fault.kind === "status" &&
        fault.code === 403 &&
        left > 0 &&
        matches(fault.verb, verb) &&
        matches(fault.resource, resource),
    );
  }

  /** The fault of this kind that hits a pod (and container). The same pod is counted once, however often it asks. */
  forPod<K extends PodFault["kind"]>(kind: K, pod: string, container?: string): OfKind<K> | undefined {
    for (const standing of this.#standing) {
      const fault = standing.fault;
      if (fault.kind !== kind || !isPodFault(fault)) continue;
      if (!matches(fault.pod, pod)) continue;
      if (container !== undefined && fault.container !== undefined && !matches(fault.container, container)) continue;
      let hit = standing.pods.get(pod);
      if (hit === undefined) {
        hit = standing.left > 0;
        if (hit) standing.left--;
        standing.pods.set(pod, hit);
      }
      if (hit) return fault as OfKind<K>;
    }
    return undefined;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

const WATCH_ONLY = new Set(["gone-event", "drop-watch", "close-watch"]);
const REQUEST = new Set(["status", "hang", "reset", ...WATCH_ONLY]);
const SERVER = new Set(["outage", "compact", "kubelet-down", "deny-pods", "warn", "suspend-jobs"]);
const POD = new Set([
  "unschedulable",
  "image-pull",
  "waiting",
  "init-failure",
  "oom",
  "evict",
  "delete-pod",
  "lag-status",
  "forget-end",
  "reject",
  "sidecar",
]);

const isRequestFault = (fault: Fault): fault is RequestFault => REQUEST.has(fault.kind);
const isPodFault = (fault: Fault): fault is PodFault => POD.has(fault.kind);

/** Throws for a kind or a pattern that does not exist: a fault that never happens would make a test pass. */
export function checkFault(fault: Fault): void {
  if (!REQUEST.has(fault?.kind) && !SERVER.has(fault?.kind) && !POD.has(fault?.kind))
    throw badRequest(`there is no fault of kind "${fault?.kind}"`);
  for (const field of ["verb", "resource", "name", "pod", "container"]) {
    const pattern = (fault as unknown as Record<string, unknown>)[field];
    try {
      if (field !== "name" || REQUEST.has(fault.kind)) new RegExp(String(pattern ?? ""));
    } catch (error) {
      throw badRequest(`${field}: ${(error as Error).message}`);
    }
  }
}
