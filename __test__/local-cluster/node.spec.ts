/** The node: containers as processes, with the paths, the environment and the ends that the manifest asks for. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startLocalCluster } from "../../local-cluster/client.js";
import {
  condition,
  history,
  isRunning,
  job,
  nap,
  noPods,
  pod,
  podsOf,
  processesWith,
  run,
  useCluster,
  waitingReason,
} from "./support.js";

const cluster = useCluster({ images: { "other:1": { env: { FROM_IMAGE: "yes" }, entrypoint: ["sh", "-c"] } } });

describe("a Job from its creation to its end", () => {
  it("runs init and main containers in order and completes", async () => {
    const script = "cat /tmp/prompt/prompt.txt > /paperclip/answer.txt; echo said; echo warned >/dev/stderr";
    const result = await run(
      cluster.current,
      job(script, { init: ["printf one > /tmp/prompt/prompt.txt", "printf ' two' >> /tmp/prompt/prompt.txt"] }),
    );
    expect(condition(result.job)).toBe("Complete");
    expect(result.job.status).toMatchObject({
      succeeded: 1,
      completionTime: expect.any(String),
      startTime: expect.any(String),
    });
    expect(result.pod.status.phase).toBe("Succeeded");
    expect(result.main).toMatchObject({ exitCode: 0, reason: "Completed" });
    expect(result.pod.status.conditions!.map(({ type, status }) => `${type}=${status}`)).toEqual(
      expect.arrayContaining(["PodScheduled=True", "Initialized=True", "Ready=False"]),
    );
    expect(readFileSync(join(cluster.current.dataDir, "answer.txt"), "utf8")).toBe("one two");
    expect(await cluster.current.logs(result.pod.metadata.name)).toBe("said\nwarned\n");
  });

  it("shows each state on the way", async () => {
    const { states, stop } = history(
      cluster.current,
      await cluster.current.create("jobs", job("exit 0", { init: ["exit 0"] })),
    );
    const shown = (): string[] => states.map((one) => `${one.status.phase}:${waitingReason(one) ?? ""}`);
    await expect.poll(() => shown().at(-1), { interval: 10 }).toBe("Succeeded:");
    stop();
    expect([...new Set(shown())]).toEqual(
      expect.arrayContaining(["Pending:PodInitializing", "Running:", "Succeeded:"]),
    );
  });

  it("gives the pod its owner and its labels", async () => {
    const result = await run(cluster.current, job("exit 0"));
    const { uid, name } = result.job.metadata;
    expect(result.pod.metadata.ownerReferences).toEqual([
      { apiVersion: "batch/v1", kind: "Job", name, uid, controller: true, blockOwnerDeletion: true },
    ]);
    expect(result.pod.metadata.labels).toMatchObject({
      app: "agent",
      "job-name": name,
      "controller-uid": uid,
      "batch.kubernetes.io/job-name": name,
    });
  });

  it("reports exit codes, signals and programs that do not exist", async () => {
    const failed = await run(cluster.current, job("exit 3"));
    expect([condition(failed.job), failed.pod.status.phase]).toEqual(["Failed/BackoffLimitExceeded", "Failed"]);
    expect(failed.main).toMatchObject({ exitCode: 3, reason: "Error" });
    expect((await run(cluster.current, job("kill -USR1 $$$$"))).main).toMatchObject({ exitCode: 138, reason: "Error" });
    const missing = await run(cluster.current, job("", { container: { command: ["no-such-program"] } }));
    expect(missing.main).toMatchObject({
      exitCode: 128,
      reason: "StartError",
      message: expect.stringContaining('exec: "no-such-program": executable file not found in $PATH'),
    });
  });

  it("stops at an init container that fails", async () => {
    const result = await run(
      cluster.current,
      job("touch /paperclip/never", { init: ["echo no >&2; exit 9", "touch /paperclip/never"] }),
    );
    expect(condition(result.job)).toBe("Failed/BackoffLimitExceeded");
    expect(result.pod.status.initContainerStatuses!.map(({ state }) => state.terminated?.exitCode)).toEqual([
      9,
      undefined,
    ]);
    expect(existsSync(join(cluster.current.dataDir, "never"))).toBe(false);
  });
});

describe("environment and paths", () => {
  it("expands $(VAR) and $$ in env, command and args as a kubelet does", async () => {
    const env = [
      { name: "FIRST", value: "1" },
      { name: "SECOND", value: "$(FIRST)-$$(FIRST)-$$-$(UNKNOWN)-$FIRST" },
    ];
    const result = await run(
      cluster.current,
      job("", { container: { env, command: ["sh", "-c"], args: ['printf "%s|" "$SECOND" "$0"', "$(SECOND)$$"] } }),
    );
    // `$(SECOND)` takes the value as it is: it is not expanded a second time.
    expect(await cluster.current.logs(result.pod.metadata.name)).toBe(
      "1-$(FIRST)-$-$(UNKNOWN)-$FIRST|1-$(FIRST)-$-$(UNKNOWN)-$FIRST$|",
    );
  });

  it("gives the environment of the manifest, the image and the cluster, and nothing of this process", async () => {
    process.env.LOCAL_CLUSTER_SPEC_LEAK = "1";
    const env = [
      { name: "KEY", valueFrom: { secretKeyRef: { name: "paperclip-env", key: "OPENAI_API_KEY" } } },
      { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "POD_UID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
      { name: "NS", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
      { name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
      { name: "HOME", value: "/paperclip" },
    ];
    const envFrom = [
      { prefix: "ALL_", secretRef: { name: "paperclip-env" } },
      { secretRef: { name: "absent", optional: true } },
    ];
    const result = await run(
      cluster.current,
      job("", { container: { image: "other:1", command: null, args: ["env"], env, envFrom } }),
    );
    const seen = Object.fromEntries(
      (await cluster.current.logs(result.pod.metadata.name))
        .trim()
        .split("\n")
        .map((line) => line.split(/=(.*)/s).slice(0, 2)),
    );
    const { name, uid } = result.pod.metadata;
    expect(seen).toMatchObject({
      KEY: "not-a-real-key",
      POD: name,
      POD_UID: uid,
      NS: "paperclip",
      NODE: "local-node",
      HOSTNAME: name,
      FROM_IMAGE: "yes",
    });
    expect(seen).toMatchObject({
      HOME: cluster.current.dataDir,
      ALL_OPENAI_API_KEY: "not-a-real-key",
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
    });
    expect(Object.keys(seen)).not.toContain("LOCAL_CLUSTER_SPEC_LEAK");
  });

  it("maps mount paths at path boundaries only, and leaves their look-alikes alone", async () => {
    const alike = "/paperclip-old /opt/paperclip http://paperclip/paperclip /paperclip.bak";
    const paths = '/paperclip /paperclip/a "/paperclip" --x=/paperclip';
    const result = await run(cluster.current, job(`for p in ${paths}; do echo "$p"; done; echo ${alike}`));
    const data = cluster.current.dataDir;
    expect(await cluster.current.logs(result.pod.metadata.name)).toBe(
      `${data}\n${data}/a\n${data}\n--x=${data}\n${alike}\n`,
    );
  });

  it("projects secrets, makes subPath folders and working directories", async () => {
    const pod = {
      volumes: [
        { name: "files", secret: { secretName: "paperclip-files", defaultMode: 0o400 } },
        { name: "data", persistentVolumeClaim: { claimName: "paperclip-data" } },
      ],
    };
    const volumeMounts = [
      { name: "files", mountPath: "/etc/files" },
      { name: "data", mountPath: "/paperclip", subPath: "deep/er" },
    ];
    const result = await run(
      cluster.current,
      job("pwd; cat /etc/files/settings.json; touch /paperclip/here", {
        pod,
        container: { volumeMounts, workingDir: "/paperclip/work" },
      }),
    );
    const log = await cluster.current.logs(result.pod.metadata.name);
    expect(log).toBe(`${cluster.current.dataDir}/deep/er/work\n{"made": "for tests"}`);
    expect(existsSync(join(cluster.current.dataDir, "deep/er/here"))).toBe(true);
  });

  it("projects what a volume combines, fields of the pod among it", async () => {
    await cluster.current.create("configmaps", {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "company-ca" },
      data: { "ca.crt": "CA\n" },
    });
    const sources = [
      { configMap: { name: "company-ca" } },
      { secret: { name: "missing", optional: true } },
      { downwardAPI: { items: [{ path: "pod/namespace", fieldRef: { fieldPath: "metadata.namespace" } }] } },
      { serviceAccountToken: { path: "token" } },
    ];
    const result = await run(
      cluster.current,
      job("cd /etc/all; cat ca.crt pod/namespace; [ -e token ] && echo; ls", {
        pod: { volumes: [{ name: "all", projected: { sources } }] },
        container: { volumeMounts: [{ name: "all", mountPath: "/etc/all" }] },
      }),
    );
    expect(await cluster.current.logs(result.pod.metadata.name)).toBe("CA\npaperclip\nca.crt\npod\ntoken\n");
  });

  it("waits for a secret that is not there yet, and says so", async () => {
    const env = [{ name: "LATER", valueFrom: { secretKeyRef: { name: "later", key: "k" } } }];
    const manifest = job('echo "$LATER"', { container: { env } });
    await cluster.current.create("jobs", manifest);
    const held = await pod(
      cluster.current,
      manifest.metadata.name,
      (one) => waitingReason(one) === "CreateContainerConfigError",
    );
    expect(held.status.containerStatuses![0]!.state.waiting!.message).toBe('secret "later" not found');
    await cluster.current.create("secrets", {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "later" },
      stringData: { k: "came" },
    });
    await pod(cluster.current, manifest.metadata.name, (one) => one.status.phase === "Succeeded");
    expect(await cluster.current.logs(held.metadata.name)).toBe("came\n");
  });
});

describe("last words", () => {
  const words = async (script: string, container: object = {}): Promise<string | undefined> =>
    (await run(cluster.current, job(script, { container }))).main.message;

  it("takes the termination file, its last 4096 bytes", async () => {
    expect(await words("echo record > /dev/termination-log")).toBe("record\n");
    expect(await words("echo other > /tmp/words", { terminationMessagePath: "/tmp/words" })).toBe("other\n");
    const long = await words(
      "head -c 5000 /dev/zero | tr '\\0' a > /dev/termination-log; echo end >> /dev/termination-log",
    );
    expect([long!.length, long!.endsWith("aend\n")]).toEqual([4096, true]);
  });

  it("falls back to the end of the output only by policy, on an error, and with an empty file", async () => {
    const fallback = { terminationMessagePolicy: "FallbackToLogsOnError" };
    expect(await words("echo spoken; exit 1", fallback)).toBe("spoken\n");
    expect(await words("echo spoken; exit 1")).toBeUndefined();
    expect(await words("echo spoken", fallback)).toBeUndefined();
    expect(await words("echo written > /dev/termination-log; echo spoken; exit 1", fallback)).toBe("written\n");
    const lines = await words("i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); done; exit 1", fallback);
    expect(lines!.trim().split("\n")).toEqual(Array.from({ length: 80 }, (_, i) => String(120 + i)));
    expect((await words("head -c 5000 /dev/zero | tr '\\0' a; exit 1", fallback))!.length).toBe(2048);
  });
});

describe("how containers end", () => {
  it("sends TERM to the first process, KILL to the group after the grace period", async () => {
    const polite = job("trap 'echo bye >> /paperclip/polite; exit 0' TERM; echo ready; while :; do sleep 0.05; done", {
      // Longer than the test may take: what ends sooner was not killed.
      pod: { terminationGracePeriodSeconds: 3_600 },
    });
    const ignoring = job(`${nap(4321)} & ${nap(4321)}`);
    for (const manifest of [polite, ignoring]) {
      await cluster.current.create("jobs", manifest);
      const running = await pod(cluster.current, manifest.metadata.name, isRunning);
      if (manifest === polite)
        await expect.poll(() => cluster.current.logs(running.metadata.name), { interval: 10 }).toContain("ready");
    }
    await cluster.current.delete("jobs", polite.metadata.name);
    await noPods(cluster.current, polite.metadata.name);
    expect(readFileSync(join(cluster.current.dataDir, "polite"), "utf8")).toBe("bye\n");

    // A shell without a trap does not hear TERM as PID 1: it takes the whole second of grace.
    const second = Date.now();
    await cluster.current.delete("jobs", ignoring.metadata.name);
    await noPods(cluster.current, ignoring.metadata.name);
    if (process.platform === "linux") expect(Date.now() - second).toBeGreaterThan(900);
    await expect.poll(() => processesWith(nap(4321)), { interval: 20 }).toEqual([]);
  });

  it("ends what the main process leaves behind, in its group or out of it", async () => {
    await run(cluster.current, job(`${nap(4322)} & setsid ${nap(4323)} >/dev/null 2>&1 & exit 0`));
    await expect.poll(() => [...processesWith(nap(4322)), ...processesWith(nap(4323))], { interval: 20 }).toEqual([]);
  });

  it("leaves no process when the cluster is killed", async () => {
    const other = await startLocalCluster();
    const manifest = job(nap(4324));
    await other.create("jobs", manifest);
    await pod(other, manifest.metadata.name, isRunning);
    process.kill(other.pid, "SIGKILL");
    await expect.poll(() => [...processesWith(nap(4324)), ...processesWith(other.root)], { interval: 20 }).toEqual([]);
    await other.stop();
    expect(existsSync(other.root)).toBe(false);
  });

  it("keeps the output of a pod that is gone", async () => {
    const result = await run(cluster.current, job("echo kept"));
    await cluster.current.delete("jobs", result.job.metadata.name);
    await cluster.current.waitFor(
      "pods",
      (pods) => !pods.some(({ metadata }) => metadata.name === result.pod.metadata.name),
    );
    expect(await podsOf(cluster.current, result.job.metadata.name)).toEqual([]);
    expect(await cluster.current.logs(result.pod.metadata.name, "main")).toBe("kept\n");
  });
});
