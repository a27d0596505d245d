/** What the cluster's specs share: Jobs as short as they can be, and the processes that must be gone afterwards. */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import {
  type Job,
  type KubeObject,
  type LocalCluster,
  type Pod,
  type StartOptions,
  startLocalCluster,
} from "../../local-cluster/client.js";

/** One cluster for a spec file; no process of it may survive. */
export function useCluster(options: StartOptions = {}): { current: LocalCluster } {
  const holder = {} as { current: LocalCluster };
  beforeAll(async () => {
    holder.current = await startLocalCluster(options);
  });
  beforeEach(() => holder.current.clearFaults());
  afterAll(async () => {
    const { root } = holder.current;
    await holder.current.stop();
    expect(processesWith(root)).toEqual([]);
  });
  return holder;
}

/** The command line of a process that nobody else on this machine has. */
export const nap = (number: number): string => `sleep ${number}${process.pid}`;

/** Command lines of this machine that contain the text. */
export function processesWith(text: string): string[] {
  const lines = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(text) && !line.startsWith("ps "));
}

let counter = 0;

/** A place in a script of a Job where it waits until the test lets it go on. */
export function gate(cluster: LocalCluster): { wait: string; open: () => void } {
  const name = `gate-${++counter}`;
  return {
    wait: `while [ ! -e /paperclip/${name} ]; do sleep 0.05; done`,
    open: () => writeFileSync(join(cluster.dataDir, name), ""),
  };
}

export interface JobShape {
  name?: string;
  spec?: object;
  pod?: object;
  container?: object;
  init?: string[];
  metadata?: object;
}

/** A Job whose main container runs a script; the shared volume is at /paperclip, an emptyDir at /tmp/prompt. */
export function job(script: string, shape: JobShape = {}): any {
  const volumeMounts = [
    { name: "prompt", mountPath: "/tmp/prompt" },
    { name: "data", mountPath: "/paperclip" },
  ];
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: shape.name ?? `job-${++counter}`, ...shape.metadata },
    spec: {
      backoffLimit: 0,
      ...shape.spec,
      template: {
        metadata: { labels: { app: "agent" } },
        spec: {
          restartPolicy: "Never",
          terminationGracePeriodSeconds: 1,
          ...(shape.init
            ? {
                initContainers: shape.init.map((text, i) => ({
                  name: `init-${i}`,
                  image: "busybox:1.36",
                  command: ["sh", "-c", text],
                  volumeMounts,
                })),
              }
            : {}),
          containers: [
            { name: "main", image: "agent:latest", command: ["sh", "-c", script], volumeMounts, ...shape.container },
          ],
          volumes: [
            { name: "prompt", emptyDir: {} },
            { name: "data", persistentVolumeClaim: { claimName: "paperclip-data" } },
          ],
          ...shape.pod,
        },
      },
    },
  };
}

const named = (name: string) => (object: { metadata: { name: string } }) => object.metadata.name === name;

export const condition = (of: Job): string | undefined => {
  const end = of.status.conditions?.find(({ type }) => type === "Complete" || type === "Failed");
  return end && (end.reason ? `${end.type}/${end.reason}` : end.type);
};

/** Waits for the Job's Complete or Failed condition. */
export async function finished(cluster: LocalCluster, name: string): Promise<Job> {
  const jobs = (await cluster.waitFor("jobs", (all) =>
    all.some((one) => named(name)(one) && condition(one as Job)),
  )) as Job[];
  return jobs.find(named(name))!;
}

export const podsOf = async (cluster: LocalCluster, name: string): Promise<Pod[]> =>
  (await cluster.list("pods", { labelSelector: `job-name=${name}` })) as Pod[];

/** Waits until the Job has no pod any more. */
export const noPods = (cluster: LocalCluster, name: string): Promise<unknown> =>
  cluster.waitFor("pods", (pods) => !pods.some(({ metadata }) => metadata.labels?.["job-name"] === name));

/** Every state of the pods of a Job from its creation on: also one that is over before anybody looks. */
export function history(cluster: LocalCluster, { metadata }: KubeObject): { states: Pod[]; stop: () => void } {
  const states: Pod[] = [];
  const query = { labelSelector: `job-name=${metadata.name}`, resourceVersion: metadata.resourceVersion! };
  const stop = cluster.watch("pods", ({ object }) => void states.push(object as Pod), query);
  return { states, stop };
}

/** Waits until a pod of the Job satisfies the predicate. */
export async function pod(cluster: LocalCluster, name: string, predicate: (pod: Pod) => boolean): Promise<Pod> {
  const match = (one: any): boolean => one.metadata.labels?.["job-name"] === name && predicate(one as Pod);
  return (await cluster.waitFor("pods", (all) => all.some(match))).find(match) as Pod;
}

/** Creates a Job and waits for its end; answers the pod too. */
export async function run(cluster: LocalCluster, manifest: any): Promise<{ job: Job; pod: Pod; main: any }> {
  await cluster.create("jobs", manifest);
  const ended = await finished(cluster, manifest.metadata.name);
  const [only] = await podsOf(cluster, manifest.metadata.name);
  return {
    job: ended,
    pod: only!,
    main: only!.status.containerStatuses?.find(({ name }) => name === "main")?.state.terminated,
  };
}

export const isRunning = (of: Pod): boolean => of.status.containerStatuses?.some(({ state }) => state.running) ?? false;
export const waitingReason = (of: Pod): string | undefined =>
  of.status.containerStatuses?.map(({ state }) => state.waiting?.reason).find(Boolean);
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
