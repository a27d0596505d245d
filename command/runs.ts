/** `runs`: the Jobs of a namespace, each with its agent, state, age and bytes of log. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { ask } from "./cluster.js";
import type { Access } from "./kubectl.js";
import { cut, paint, type Screen, table } from "./screen.js";

const SELECTOR = "paperclip.io/adapter-type=opencode_k8s";
const WATCH_MS = 2_000;
const SHORT_ID = 8;

/** The parts of a Job that are shown. */
interface Job {
  metadata: {
    name: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    creationTimestamp?: string;
    deletionTimestamp?: string;
  };
  spec?: { suspend?: boolean };
  status?: { active?: number; ready?: number; conditions?: { type: string; status: string; reason?: string }[] };
}

/** One row. */
interface Run {
  agent: string;
  run: string;
  state: string;
  age: string;
  logBytes: number | null;
  job: string;
}

/** Where to look. */
export interface Place extends Access {
  /** Where `/paperclip` of the pods is here. */
  dataRoot: string;
}

/** Prints the runs, once or until the process is ended; the exit status. */
export async function runs(place: Place, { watch = false, json = false }, screen: Screen): Promise<number> {
  do {
    const found = (await listJobs(place)).map((job) => describeJob(job, place.dataRoot, Date.now()));
    if (watch && screen.colour) screen.print("\u001b[2J\u001b[H");
    if (json) screen.print(JSON.stringify(found));
    else show(found, screen);
    if (watch) await sleep(WATCH_MS);
  } while (watch);
  return 0;
}

function show(found: Run[], screen: Screen): void {
  if (found.length === 0) return screen.print("No run is on, and no Job is left.");
  const whole = tableOf(found, (id) => id);
  // As the page shows them. `tail` takes them so, too.
  const isWide = whole.split("\n").some((line) => line.length > screen.columns);
  const [head = "", ...lines] = (isWide ? tableOf(found, (id) => id.slice(0, SHORT_ID)) : whole).split("\n");
  screen.print([paint(screen, head, "bold"), ...lines.map((line) => cut(line, screen.columns))].join("\n"));
}

function tableOf(found: Run[], shown: (id: string) => string): string {
  const rows = found.map(({ agent, run, state, age, logBytes, job }) => [
    run === "" ? job : shown(run),
    shown(agent),
    state,
    age,
    logBytes === null ? "-" : sizeOf(logBytes),
  ]);
  return table([["RUN", "AGENT", "STATE", "AGE", "LOG"], ...rows]);
}

/** A Job in words. `now` in milliseconds. */
export function describeJob({ metadata, spec, status }: Job, dataRoot: string, now: number): Run {
  const { labels = {}, annotations = {}, creationTimestamp } = metadata;
  const path = Object.values(annotations).find((value) => value.endsWith(".pod.ndjson"));
  const logBytes = path === undefined ? null : bytesOf(join(dataRoot, path.replace(/^\/paperclip\//, "")));
  return {
    agent: labels["paperclip.io/agent-id"] ?? "?",
    run: labels["paperclip.io/run-id"] ?? "",
    state: stateOf(spec, status, metadata.deletionTimestamp, logBytes),
    age: creationTimestamp === undefined ? "?" : ageOf((now - Date.parse(creationTimestamp)) / 1000),
    logBytes,
    job: metadata.name,
  };
}

function stateOf(
  spec: Job["spec"],
  status: Job["status"],
  deleted: string | undefined,
  logBytes: number | null,
): string {
  const end = status?.conditions?.find(
    (condition) => condition.status === "True" && /^(Complete|Failed)$/.test(condition.type),
  );
  if (end) return end.type === "Failed" ? `failed (${end.reason ?? "?"})` : "ended";
  if (deleted !== undefined) return "being ended";
  if (spec?.suspend === true) return "queued";
  if (!status?.active) return "created";
  // Kubernetes before 1.24 does not tell whether a pod is ready; the agent's first bytes do.
  const { ready = null } = status;
  if (ready === null && logBytes === null) return "active";
  return (ready ?? logBytes ?? 0) > 0 ? "at work" : "starting";
}

function ageOf(seconds: number): string {
  if (seconds < 120) return `${Math.max(0, Math.round(seconds))}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`;
}

function sizeOf(bytes: number): string {
  if (bytes < 10_000) return `${bytes}B`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1024)}Ki` : `${Math.round(bytes / 1024 / 1024)}Mi`;
}

function bytesOf(path: string): number | null {
  try {
    return statSync(path).size;
  } catch {
    return null;
  }
}

async function listJobs(access: Access): Promise<Job[]> {
  const answer = await ask(access, {
    path: (namespace) => `/apis/batch/v1/namespaces/${namespace}/jobs?labelSelector=${encodeURIComponent(SELECTOR)}`,
    kubectl: ["get", "jobs", "--selector", SELECTOR],
    hint: "\nIs it the right cluster and namespace? Look there: kubectl config get-contexts",
  });
  return (answer as { items: Job[] }).items;
}
