/** The controllers: Jobs and their pods, deadlines, TTL, owners and their dependents, claims. */

import { describe, expect, it } from "vitest";
import { type Job, type KubeObject, startLocalCluster } from "../../local-cluster/client.js";
import { condition, finished, gate, isRunning, job, noPods, pod, podsOf, run, useCluster } from "./support.js";

const cluster = useCluster();
const c = () => cluster.current;

const noJob = (name: string) => c().waitFor("jobs", (jobs) => !jobs.some(({ metadata }) => metadata.name === name));
const owned = (owner: Job, name: string) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name,
    ownerReferences: [{ apiVersion: "batch/v1", kind: "Job", name: owner.metadata.name, uid: owner.metadata.uid }],
  },
});

describe("Jobs", () => {
  it("fail at their deadline, and their pod is deleted", async () => {
    const manifest = job("trap 'exit 0' TERM; while :; do sleep 0.05; done", { spec: { activeDeadlineSeconds: 1 } });
    const begun = Date.now();
    await c().create("jobs", manifest);
    const ended = await finished(c(), manifest.metadata.name);
    expect(condition(ended)).toBe("Failed/DeadlineExceeded");
    expect(ended.status.conditions![0]!.message).toBe("Job was active longer than specified deadline");
    expect(Date.now() - begun).toBeGreaterThan(950);
    await noPods(c(), manifest.metadata.name);
  });

  it("are removed with their pods after their TTL", async () => {
    const result = await run(c(), job("exit 0", { spec: { ttlSecondsAfterFinished: 1 } }));
    await noJob(result.job.metadata.name);
    await noPods(c(), result.job.metadata.name);
  });

  it("start a second pod when the first is deleted, by force or gracefully", async () => {
    for (const force of [true, false]) {
      const manifest = job("trap 'exit 143' TERM; while :; do sleep 0.05; done");
      const { name } = manifest.metadata;
      await c().create("jobs", manifest);
      const first = await pod(c(), name, isRunning);
      await c().delete("pods", first.metadata.name, { force });
      const second = await pod(c(), name, (one) => one.metadata.uid !== first.metadata.uid && isRunning(one));
      expect(second.metadata.name).not.toBe(first.metadata.name);
      expect(((await c().get("jobs", name)) as Job).status.conditions).toBeUndefined();
      await c().delete("jobs", name);
    }
  });

  it("start no second pod when the first failed", async () => {
    const result = await run(c(), job("exit 1"));
    await c().delete("pods", result.pod.metadata.name);
    await noPods(c(), result.job.metadata.name);
    expect(await podsOf(c(), result.job.metadata.name)).toEqual([]);
  });

  it("fail with a deleted pod where the cluster counts as newer ones do", async () => {
    const newer = await startLocalCluster({ deletedPod: "fails-job" });
    try {
      const manifest = job("sleep 60");
      await newer.create("jobs", manifest);
      const first = await pod(newer, manifest.metadata.name, isRunning);
      await newer.delete("pods", first.metadata.name, { force: true });
      expect(condition(await finished(newer, manifest.metadata.name))).toBe("Failed/BackoffLimitExceeded");
    } finally {
      await newer.stop();
    }
  });
});

describe("the end of a Job in the order of a current cluster", () => {
  it("is decided when its pod's phase says so, and said when no pod runs", async () => {
    const current = await startLocalCluster({ order: "current" });
    try {
      const done = await run(current, job("exit 0"));
      expect(done.job.status.conditions?.map(({ type }) => type)).toEqual(["SuccessCriteriaMet", "Complete"]);
      const late = job("trap '' TERM; while :; do sleep 0.05; done");
      late.spec.activeDeadlineSeconds = 1;
      late.spec.template.spec.terminationGracePeriodSeconds = 2;
      await current.create("jobs", late);
      await pod(current, late.metadata.name, isRunning);
      const has = (type: string) => (jobs: KubeObject[]) =>
        jobs.some((one) => (one as Job).status.conditions?.some((each) => each.type === type));
      await current.waitFor("jobs", has("FailureTarget"));
      const decided = (await current.get("jobs", late.metadata.name)) as Job;
      expect(decided.status).toMatchObject({ terminating: 1, conditions: [{ reason: "DeadlineExceeded" }] });
      const ended = await finished(current, late.metadata.name);
      expect(ended.status.conditions?.map(({ type }) => type)).toEqual(["FailureTarget", "Failed"]);
      expect(ended.status["terminating"]).toBe(0);
    } finally {
      await current.stop();
    }
  });
});

describe("owners", () => {
  it("take their Secrets and pods with them, in the background", async () => {
    const result = await run(c(), job("exit 0"));
    await c().create("secrets", owned(result.job, "owned"));
    await c().delete("jobs", result.job.metadata.name);
    await c().waitFor("secrets", (secrets) => !secrets.some(({ metadata }) => metadata.name === "owned"));
    await noPods(c(), result.job.metadata.name);
  });

  it("stay in the foreground until their dependents are gone", async () => {
    const { wait, open } = gate(c());
    const manifest = job(`trap '${wait}; exit 0' TERM; echo ready; while :; do sleep 0.05; done`, {
      pod: { terminationGracePeriodSeconds: 3_600 },
    });
    const { name } = manifest.metadata;
    await c().create("jobs", manifest);
    const running = await pod(c(), name, isRunning);
    await expect.poll(() => c().logs(running.metadata.name), { interval: 10 }).toContain("ready");
    await c().delete("jobs", name, { propagationPolicy: "Foreground" });
    const held = (await c().get("jobs", name)) as Job;
    expect(held.metadata).toMatchObject({ deletionTimestamp: expect.any(String), finalizers: ["foregroundDeletion"] });
    open();
    await noJob(name);
    expect(await podsOf(c(), name)).toEqual([]);
  });

  it("leave orphans when asked to, as a Job does by default in the API", async () => {
    const result = await run(c(), job("exit 0"));
    await c().delete("jobs", result.job.metadata.name, { propagationPolicy: "Orphan" });
    await noJob(result.job.metadata.name);
    const [left] = await podsOf(c(), result.job.metadata.name);
    expect(left!.metadata.ownerReferences).toBeUndefined();
    await c().delete("pods", left!.metadata.name);
  });

  it("that never existed make no dependents", async () => {
    const ghost = { metadata: { name: "ghost", uid: "00000000-0000-4000-8000-000000000000" } } as Job;
    await c().create("secrets", owned(ghost, "ghosts"));
    await c().waitFor("secrets", (secrets) => !secrets.some(({ metadata }) => metadata.name === "ghosts"));
  });
});

describe("claims", () => {
  const claim = (name: string, storageClassName?: string) => ({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Gi" } },
      ...(storageClassName === undefined ? {} : { storageClassName }),
    },
  });

  it("are bound where their class has volumes; a pod waits for the others", async () => {
    const shared = await c().get("persistentvolumeclaims", "paperclip-data");
    expect(shared).toMatchObject({ spec: { accessModes: ["ReadWriteMany"] }, status: { phase: "Bound" } });
    await c().create("persistentvolumeclaims", claim("made"));
    await c().create("persistentvolumeclaims", claim("unbound", "no-such-class"));
    await c().waitFor("persistentvolumeclaims", (claims) =>
      claims.some(({ metadata, status }) => metadata.name === "made" && status.phase === "Bound"),
    );
    for (const [claimName, why] of Object.entries({
      unbound: "pod has unbound immediate PersistentVolumeClaims",
      later: 'persistentvolumeclaim "later" not found',
    })) {
      const manifest = job("exit 0", {
        pod: { volumes: [{ name: "data", persistentVolumeClaim: { claimName } }] },
        container: { volumeMounts: [{ name: "data", mountPath: "/paperclip" }] },
      });
      await c().create("jobs", manifest);
      const held = await pod(
        c(),
        manifest.metadata.name,
        (one) => one.status.conditions?.[0]?.reason === "Unschedulable",
      );
      expect(held.status.conditions![0]!.message).toContain(why);
      if (claimName === "later") {
        await c().create("persistentvolumeclaims", claim("later"));
        expect(condition(await finished(c(), manifest.metadata.name))).toBe("Complete");
      } else await c().delete("jobs", manifest.metadata.name);
    }
  });
});
