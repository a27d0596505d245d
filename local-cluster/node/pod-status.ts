/** A pod's status as the kubelet reports it, computed from the states of its containers. */

import type { Condition, Container, ContainerState, ContainerStatus, Pod, PodStatus } from "../objects.js";
import { timestamp } from "../objects.js";
import { isSidecar } from "./container-state.js";

type States = Map<string, ContainerState>;

export interface PodFacts {
  init: States;
  main: States;
  /** How containers that are started again, or are taken to be, ended before. */
  before: Map<string, Pick<ContainerStatus, "lastState" | "restartCount">>;
  /** Set when the kubelet itself ended the pod: Evicted, DeadlineExceeded; empty where it does not say why. */
  verdict?: { reason?: string; message?: string };
  startedAt: string;
}

const sidecarsOf = (pod: Pod): Container[] => (pod.spec.initContainers ?? []).filter(isSidecar);

/** Native sidecars keep a pod from being over as long as they run; how they end says nothing about it. */
function phaseOf(pod: Pod, facts: PodFacts): PodStatus["phase"] {
  if (facts.verdict) return "Failed";
  const sidecars = sidecarsOf(pod).map(({ name }) => name);
  const isOver = !sidecars.some((name) => facts.init.get(name)!.running);
  const hasFailed = ([name, state]: [string, ContainerState]): boolean =>
    !sidecars.includes(name) && (state.terminated?.exitCode ?? 0) !== 0;
  if ([...facts.init].some(hasFailed)) return isOver ? "Failed" : "Pending";
  const states = pod.spec.containers.map(({ name }) => facts.main.get(name)!);
  if (isOver && states.every((state) => state.terminated))
    return states.every((state) => state.terminated!.exitCode === 0) ? "Succeeded" : "Failed";
  return states.some((state) => state.running || state.terminated) ? "Running" : "Pending";
}

/** Init containers that have not done yet what main containers wait for. */
function incompleteOf(pod: Pod, facts: PodFacts): string[] {
  const hasStarted = ({ running, terminated }: ContainerState): boolean => Boolean(running ?? terminated?.startedAt);
  if ([...facts.main.values()].some(hasStarted)) return [];
  const isComplete = (container: Container): boolean => {
    const state = facts.init.get(container.name)!;
    return isSidecar(container) ? state.running !== undefined : state.terminated?.exitCode === 0;
  };
  return (pod.spec.initContainers ?? []).filter((container) => !isComplete(container)).map(({ name }) => name);
}

export function podStatus(pod: Pod, facts: PodFacts): PodStatus {
  const phase = phaseOf(pod, facts);
  const incomplete = incompleteOf(pod, facts);
  const initDone = incomplete.length === 0;
  const ended = phase === "Succeeded" || phase === "Failed";
  const isRunning = ({ name }: Container): boolean => Boolean((facts.main.get(name) ?? facts.init.get(name))!.running);
  const unready = [...sidecarsOf(pod), ...pod.spec.containers].filter((one) => !isRunning(one)).map(({ name }) => name);
  const ready = !ended && unready.length === 0;
  const why =
    phase === "Succeeded"
      ? { reason: "PodCompleted" }
      : { reason: "ContainersNotReady", message: `containers with unready status: [${unready.join(" ")}]` };
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
          initContainerStatuses: pod.spec.initContainers.map((container) => containerStatus(pod, container, facts)),
        }
      : {}),
    containerStatuses: pod.spec.containers.map((container) => containerStatus(pod, container, facts)),
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

function containerStatus(pod: Pod, container: Container, { init, main, before }: PodFacts): ContainerStatus {
  const ofInit = init.get(container.name);
  const state = ofInit ?? main.get(container.name)!;
  const isStep = ofInit !== undefined && !isSidecar(container);
  const started = !state.waiting;
  const id = `local://${pod.metadata.uid}/${container.name}`;
  return {
    name: container.name,
    state,
    lastState: {},
    ready: isStep ? state.terminated?.exitCode === 0 : state.running !== undefined,
    restartCount: 0,
    ...before.get(container.name),
    image: container.image,
    imageID: started ? `local/${container.image}` : "",
    ...(started ? { containerID: id } : {}),
    started: state.running !== undefined,
  };
}
