/** A pod's status as the kubelet reports it, computed from the states of its containers. */

import type { Condition, Container, ContainerState, ContainerStatus, Pod, PodStatus } from "../objects.js";
import { timestamp } from "../objects.js";

type States = Map<string, ContainerState>;

export interface PodFacts {
  init: States;
  main: States;
  /** Set when the kubelet itself ended the pod: Evicted, DeadlineExceeded. */
  verdict?: { reason: string; message: string };
  startedAt: string;
}

function phaseOf(pod: Pod, facts: PodFacts): PodStatus["phase"] {
  if (facts.verdict) return "Failed";
  if ([...facts.init.values()].some((state) => state.terminated && state.terminated.exitCode !== 0)) return "Failed";
  const states = pod.spec.containers.map(({ name }) => facts.main.get(name)!);
  if (states.every((state) => state.terminated)) {
    return states.every((state) => state.terminated!.exitCode === 0) ? "Succeeded" : "Failed";
  }
  return states.some((state) => state.running || state.terminated) ? "Running" : "Pending";
}

export function podStatus(pod: Pod, facts: PodFacts): PodStatus {
  const phase = phaseOf(pod, facts);
  const initDone = [...facts.init.values()].every((state) => state.terminated?.exitCode === 0);
  const ended = phase === "Succeeded" || phase === "Failed";
  const ready = !ended && pod.spec.containers.every(({ name }) => facts.main.get(name)?.running);
  const unready = pod.spec.containers.filter(({ name }) => !facts.main.get(name)?.running).map(({ name }) => name);
  const why =
    phase === "Succeeded"
      ? { reason: "PodCompleted" }
      : { reason: "ContainersNotReady", message: `containers with unready status: [${unready.join(" ")}]` };
  const incomplete = [...facts.init].filter(([, state]) => state.terminated?.exitCode !== 0).map(([name]) => name);
  const initWhy = {
    reason: "ContainersNotInitialized",
    message: `containers with incomplete status: [${incomplete.join(" ")}]`,
  };
  const old = pod.status.conditions ?? [];
  const conditions = [
    ...old.filter(({ type }) => !["Initialized", "Ready", "ContainersReady", "PodScheduled"].includes(type)),
    condition(
      old,
      "Initialized",
      initDone,
      initDone ? (phase === "Succeeded" ? { reason: "PodCompleted" } : {}) : initWhy,
    ),
    condition(old, "Ready", ready, ready ? {} : why),
    condition(old, "ContainersReady", ready, ready ? {} : why),
    condition(old, "PodScheduled", true, {}),
  ];
  return {
    ...pod.status,
    phase,
    ...facts.verdict,
    conditions,
    hostIP: "127.0.0.1",
    ...(facts.main.size > 0 && phase !== "Pending" ? { podIP: "127.0.0.1", podIPs: [{ ip: "127.0.0.1" }] } : {}),
    startTime: facts.startedAt,
    ...(pod.spec.initContainers?.length
      ? {
          initContainerStatuses: pod.spec.initContainers.map((container) =>
            containerStatus(pod, container, facts.init, true),
          ),
        }
      : {}),
    containerStatuses: pod.spec.containers.map((container) => containerStatus(pod, container, facts.main, false)),
  };
}

function condition(
  old: Condition[],
  type: string,
  met: boolean,
  why: { reason?: string; message?: string },
): Condition {
  const status = met ? "True" : "False";
  const before = old.find((candidate) => candidate.type === type);
  const lastTransitionTime = before?.status === status ? before.lastTransitionTime! : timestamp();
  return { type, status, lastProbeTime: null, lastTransitionTime, ...why };
}

function containerStatus(pod: Pod, container: Container, states: States, init: boolean): ContainerStatus {
  const state = states.get(container.name)!;
  const started = !state.waiting;
  const id = `local://${pod.metadata.uid}/${container.name}`;
  return {
    name: container.name,
    state,
    lastState: {},
    ready: init ? state.terminated?.exitCode === 0 : state.running !== undefined,
    restartCount: 0,
    image: container.image,
    imageID: started ? `local/${container.image}` : "",
    ...(started ? { containerID: id } : {}),
    started: state.running !== undefined,
  };
}
