/** Runs while the cluster misbehaves: each ends with the right code, every line once, and nothing left behind. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import type { Fault } from "../../local-cluster/client.js";
import { serve } from "./server.js";
import {
  answer,
  contextOf,
  countAroundEachTest,
  filesLeft,
  isRealCluster,
  openStage,
  run,
  type Stage,
} from "./stage.js";

// Faults can be had on request from the stand-in only.
describe.skipIf(isRealCluster)("a run survives", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  countAroundEachTest(() => stage);
  afterAll(() => stage.close());

  const slow = `echo one; sleep 0.4; echo two; sleep 0.4; echo three; ${answer("made it")}`;

  const harmless: [what: string, faults: Fault[]][] = [
    ["a Role without watch", [{ kind: "status", code: 403, verb: "watch" }]],
    ["a watch that answers 410", [{ kind: "status", code: 410, verb: "watch", count: 2 }]],
    ["a watch that says 410 in an event", [{ kind: "gone-event", verb: "watch", count: 2 }]],
    ["watches that are closed at once", [{ kind: "close-watch" }]],
    ["watches that break off", [{ kind: "drop-watch", afterEvents: 1 }]],
    ["lists that fail at first", [{ kind: "status", code: 503, verb: "list", count: 3 }]],
    ["a server that is too busy", [{ kind: "status", code: 429, verb: "list", count: 2, retryAfterSeconds: 1 }]],
    [
      "a create whose answer is lost",
      [{ kind: "status", code: 504, verb: "create", resource: "jobs", count: 1, perform: true }],
    ],
    [
      "a create whose connection is reset",
      [{ kind: "reset", verb: "create", resource: "jobs", count: 1, perform: true }],
    ],
    ["a create that fails at first", [{ kind: "status", code: 500, verb: "create", resource: "jobs", count: 1 }]],
    ["a delete that fails at first", [{ kind: "status", code: 500, verb: "delete", count: 2 }]],
    ["a status that comes late", [{ kind: "lag-status", ms: 1_000 }]],
    ["a sidecar that never ends", [{ kind: "sidecar" }]],
    ["an out-of-memory kill of a child", [{ kind: "oom", afterMs: 100, exitCode: 0 }]],
  ];

  test.each(harmless)("%s", async (_what, faults) => {
    for (const fault of faults) await stage.local.fault(fault);
    const { result, lines } = await run(slow);
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines.slice(0, 3)).toEqual(["one", "two", "three"]);
    expect(lines).toHaveLength(6);
    await stage.local.clearFaults();
    expect(filesLeft(stage)).toEqual([]);
    await stage.local.waitFor(
      "pods",
      (pods) => pods.every(({ metadata }) => !metadata.name.startsWith("agent-")),
      20_000,
    );
    expect(await stage.local.objects("jobs")).toEqual([]);
  });

  test("says once that it polls where watching is not granted", async () => {
    await stage.local.fault({ kind: "status", code: 403, verb: "watch" });
    const { stdout } = await run(slow);
    expect(stdout.split("polling every 2 s").length - 1).toBe(1);
  });

  test("a Role without get on pods, with one warning", async () => {
    await stage.local.fault({ kind: "status", code: 403, verb: "get", resource: "pods" });
    const { result, stderr } = await run(slow);
    expect(result, JSON.stringify(result)).toMatchObject({ exitCode: 0, errorMessage: null });
    expect(stderr.split("verb `get` on pods").length - 1).toBe(1);
  });

  test("an API server that is away for longer than a list may take, while it waits for its turn", async () => {
    const agent = { id: `waits-${process.pid}`, companyId: "company-1", name: "Ada" };
    const other = serve(
      contextOf(`echo at-work; sleep 25; ${answer("the other")}`, { agent, context: { issueId: "other" } }),
    );
    await other.said("at-work");
    let waits = (): void => {};
    const waiting = new Promise<void>((resolve) => (waits = resolve));
    const onLog = async (_stream: string, chunk: string): Promise<void> =>
      void (chunk.includes("Waiting for concurrent") && waits());
    const running = run(answer("mine"), { agent, context: { issueId: "mine" }, onLog });
    await waiting;
    await stage.local.fault({ kind: "outage", ms: 20_000 });
    expect((await running).result).toMatchObject({ exitCode: 0, summary: "mine" });
    expect((await other.ended)?.result).toMatchObject({ exitCode: 0, summary: "the other" });
  });

  test("another run of the agent whose server died before the agent could start", async () => {
    const agent = { id: `stalled-${process.pid}`, companyId: "company-1", name: "Ada" };
    const limits = { config: { scheduleTimeoutSec: 1, startTimeoutSec: 1 } };
    await stage.local.fault({ kind: "unschedulable", count: 1 });
    const dead = serve(
      contextOf(answer("never"), { agent, context: { issueId: "other" }, config: { scheduleTimeoutSec: 600 } }),
    );
    await dead.said("phase=Pending");
    dead.child.kill("SIGKILL");
    const { result, stderr } = await run(answer("mine"), { agent, context: { issueId: "mine" }, ...limits });
    expect(result, JSON.stringify(result)).toMatchObject({ exitCode: 0, summary: "mine" });
    expect(stderr).toContain("has not started, and no server gives it up");
  });

  test("an outage in mid-run", async () => {
    const running = run(`echo one; sleep 2; echo two; ${answer("made it")}`);
    await stage.local.waitFor("pods", (pods) =>
      pods.some(({ metadata, status }) => metadata.name.startsWith("agent-") && (status as any)?.phase === "Running"),
    );
    await stage.local.fault({ kind: "outage", ms: 4_000 });
    const { result, lines } = await running;
    expect(result, JSON.stringify(result)).toMatchObject({ exitCode: 0, errorMessage: null });
    expect(lines.slice(0, 2)).toEqual(["one", "two"]);
  });

  test("an outage while the pod is on its way is longer than that may take", async () => {
    const goesAway = async (_stream: string, chunk: string): Promise<void> => {
      if (chunk.includes("Waiting for pod to be scheduled")) await stage.local.fault({ kind: "outage", ms: 6_000 });
    };
    const { result } = await run(`sleep 3; ${answer("made it")}`, {
      config: { scheduleTimeoutSec: 2, startTimeoutSec: 2 },
      onLog: goesAway,
    });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      resultJson: { log: { proof: "proven" } },
    });
  });

  test("a Role that may not list pods: its Job and its files tell of an agent that works", async () => {
    await stage.local.fault({ kind: "status", code: 403, verb: "list|watch", resource: "pods" });
    const { result } = await run(`sleep 4; ${answer("made it")}`, {
      config: { scheduleTimeoutSec: 1, startTimeoutSec: 1 },
    });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      resultJson: { log: { proof: "proven" } },
    });
  });

  test("what cannot start does not stay, and is not said to", async () => {
    await stage.local.fault({ kind: "image-pull" });
    const agent = { id: `kept-${process.pid}`, companyId: "company-1", name: "Ada" };
    const { result, stdout } = await run("echo never", { agent, config: { retainJobs: true } });
    expect(result.errorCode).toBe("k8s_pod_schedule_failed");
    expect(stdout).toContain("could not stay");
    expect(stdout).not.toContain("Retaining");
    rmSync(join(stage.dataRoot, "instances/default/run-logs/company-1", agent.id), { recursive: true });
  });

  test("an API server that stays away: unknown, the Job is kept, and the next run of the task delivers all and bills the rest", async () => {
    const id = `away-${process.pid}`;
    const task = { agent: { id, companyId: "company-1", name: "Ada" }, context: { issueId: id } };
    const step = answer("first").replace('"reason":"stop"', '"reason":"tool-calls"');
    const wait = `while [ ! -e /paperclip/test-bin/go-${id} ]; do sleep 0.1; done`;
    const program = `${step}\necho at-work; ${wait}; ${answer("made it")}`;
    const atWork = (chunk: string): void =>
      void (chunk.includes("at-work") && void stage.local.fault({ kind: "outage", ms: 8_000 }));
    const onLog = async (_stream: string, chunk: string): Promise<void> => atWork(chunk);
    const { result } = await run(program, { ...task, config: { outageTimeoutSec: 2 }, onLog });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: null,
      errorCode: "unknown_outcome",
      timedOut: false,
      usage: { inputTokens: 10 },
      costUsd: 0.5,
    });
    expect(result.errorMessage).toMatch(/API server could not be reached.*the Job is kept/);
    await expect.poll(() => stage.local.list("jobs").catch(() => [])).toHaveLength(1);
    writeFileSync(join(stage.dataRoot, "test-bin", `go-${id}`), "");
    const next = await run(program, task);
    expect(next.result, JSON.stringify(next.result)).toMatchObject({
      exitCode: 0,
      summary: "first\n\nmade it",
      resultJson: { log: { proof: "proven" } },
      usage: { inputTokens: 10 },
      costUsd: 0.5,
    });
    expect(next.lines).toHaveLength(7);
    expect(filesLeft(stage)).toEqual([]);
  });

  test("the loss of all events after 410", async () => {
    const running = run(slow);
    await stage.local.waitFor("jobs", (jobs) => jobs.length > 0);
    await stage.local.fault({ kind: "compact" });
    expect((await running).result).toMatchObject({ exitCode: 0, errorMessage: null });
  });

  const failures: [what: string, fault: Fault, config: Record<string, unknown>, code: string, says: RegExp][] = [
    [
      "an image that cannot be pulled",
      { kind: "image-pull" },
      {},
      "k8s_pod_schedule_failed",
      /opencode|write-prompt.*(ErrImagePull|ImagePullBackOff)/,
    ],
    [
      "an init container that fails",
      { kind: "init-failure", exitCode: 3 },
      {},
      "k8s_pod_schedule_failed",
      /write-prompt.*code 3/,
    ],
    [
      "a pod that no node takes",
      { kind: "unschedulable", message: "0/1 nodes are available" },
      { scheduleTimeoutSec: 1 },
      "k8s_pod_schedule_failed",
      /0\/1 nodes/,
    ],
    [
      "pods that are not admitted",
      { kind: "deny-pods" },
      { scheduleTimeoutSec: 1 },
      "k8s_pod_schedule_failed",
      /no pod was made for job .* within 1 s/,
    ],
    [
      "a container that waits for its configuration",
      { kind: "waiting", reason: "CreateContainerConfigError" },
      {},
      "k8s_pod_schedule_failed",
      /CreateContainerConfigError/,
    ],
    [
      "a quota",
      {
        kind: "status",
        code: 403,
        verb: "create",
        resource: "jobs",
        reason: "Forbidden",
        message: "exceeded quota: q",
      },
      {},
      "k8s_job_create_failed",
      /exceeded quota.*raise it/,
    ],
    [
      "an admission that denies",
      {
        kind: "status",
        code: 400,
        verb: "create",
        resource: "jobs",
        reason: "BadRequest",
        message: "admission webhook denied",
      },
      {},
      "k8s_job_create_failed",
      /admission webhook denied.*whoever runs/,
    ],
    [
      "a manifest that the API refuses",
      {
        kind: "status",
        code: 422,
        verb: "create",
        resource: "jobs",
        reason: "Invalid",
        message: 'Job.batch "x" is invalid: spec.template',
      },
      {},
      "k8s_job_create_failed",
      /is invalid: spec.template.*Correct the adapter configuration/,
    ],
    [
      "a namespace that does not exist",
      {
        kind: "status",
        code: 404,
        verb: "create",
        resource: "jobs",
        reason: "NotFound",
        message: 'namespaces "elsewhere" not found',
      },
      {},
      "k8s_job_create_failed",
      /elsewhere.*Create the namespace/,
    ],
    [
      "credentials that have expired",
      { kind: "status", code: 401, verb: "list", resource: "jobs", reason: "Unauthorized", message: "Unauthorized" },
      {},
      "k8s_concurrency_guard_unreachable",
      /HTTP 401.*credentials/,
    ],
    [
      "an API server that answers nothing",
      { kind: "hang", verb: "list", resource: "jobs" },
      {},
      "k8s_concurrency_guard_unreachable",
      /did not answer within 15 s/,
    ],
    [
      "a guard that may not list",
      { kind: "status", code: 403, verb: "list", resource: "jobs" },
      {},
      "k8s_concurrency_guard_unreachable",
      /list jobs.*Grant this verb/,
    ],
    ["an out-of-memory kill", { kind: "oom", afterMs: 200 }, {}, "opencode_killed", /OOM/],
    ["an eviction", { kind: "evict", mode: "node-pressure", afterMs: 200 }, {}, "opencode_killed", /Evicted|evict/i],
  ];

  test.each(failures)("%s, as a failure that names it", async (_what, fault, config, code, says) => {
    await stage.local.fault(fault);
    const { result } = await run(`echo started; sleep 3; ${answer("never said")}`, { config });
    expect(result.errorMessage).toMatch(says);
    expect(result.errorCode).toBe(code);
    expect(result.timedOut).toBe(false);
    await stage.local.clearFaults();
    expect(await stage.local.objects("jobs")).toEqual([]);
    expect(filesLeft(stage)).toEqual([]);
  });

  const lateOnes: [what: string, fault: Fault | undefined, program: string, config?: Record<string, unknown>][] = [
    ["whose pod no node takes", { kind: "unschedulable" }, "echo never"],
    ["whose container is still being made", { kind: "waiting", reason: "ContainerCreating" }, "echo never"],
    ["whose node is not heard", { kind: "kubelet-down", ms: 4_000 }, "echo never"],
    ["whose status comes late", { kind: "lag-status", ms: 1_500 }, "echo working; sleep 60"],
    ["whose phase comes before its state", { kind: "lag-status", ms: 1_500, first: "phase" }, "echo working; sleep 60"],
    ["which calls being ended a success, without a word", undefined, "trap 'exit 0' TERM; sleep 60 & wait"],
    [
      "which answers being ended with a code of its own",
      undefined,
      "trap 'exit 3' TERM; echo working; sleep 60 & wait",
    ],
    ["whose Job goes with its end", undefined, "echo working; sleep 60", { ttlSecondsAfterFinished: 0 }],
    ["whose watches break off", { kind: "drop-watch", afterEvents: 1 }, "echo working; sleep 60"],
    ["behind a Role without watch", { kind: "status", code: 403, verb: "watch" }, "echo working; sleep 60"],
  ];

  test.each(lateOnes)("a Job's own deadline for an agent %s: a timeout", async (_what, fault, program, config) => {
    if (fault) await stage.local.fault(fault);
    const { result } = await run(program, { config: { timeoutSec: 1, graceSec: 30, ...config } });
    expect(result, JSON.stringify(result)).toMatchObject({
      timedOut: true,
      errorCode: "timeout",
      errorMessage: expect.stringMatching(/^Timed out after 1s/),
    });
    await stage.local.clearFaults();
    expect(filesLeft(stage)).toEqual([]);
  });

  test("a deadline for an agent that never started says so", async () => {
    await stage.local.fault({ kind: "unschedulable" });
    const { result } = await run("echo never", { config: { timeoutSec: 1, graceSec: 30 } });
    expect(result.errorMessage).toMatch(/^Timed out after 1s; its pod had not started opencode yet/);
  });

  test("an agent that fails by itself before its deadline did not time out", async () => {
    const { result } = await run("echo working; exit 3", { config: { timeoutSec: 20 } });
    expect(result).toMatchObject({ timedOut: false, exitCode: 3 });
  });

  test("an agent that fails by itself before its deadline did not time out, though a sidecar keeps its adopted Job until then", async () => {
    await stage.local.fault({ kind: "sidecar" });
    const id = `sidecar-${process.pid}`;
    const config = { timeoutSec: 8, graceSec: 30 };
    const task = { agent: { id, companyId: "company-1", name: "Ada" }, context: { issueId: id }, config };
    const program = "echo at-work; sleep 3; exit 3";
    const dead = serve(contextOf(program, task));
    await dead.said("at-work");
    dead.child.kill("SIGKILL");
    await dead.ended;
    const { result } = await run(program, task);
    expect(result).toMatchObject({ timedOut: false, exitCode: 3 });
  });

  const retained: [what: string, fault: Fault | undefined, config: object, code: string, jobs: number][] = [
    ["out of time", undefined, { timeoutSec: 1, graceSec: 30 }, "timeout", 1],
    [
      "out of time before it starts",
      { kind: "waiting", reason: "ContainerCreating" },
      { timeoutSec: 1, graceSec: 30 },
      "timeout",
      1,
    ],
    ["whose pod could still start", { kind: "image-pull" }, {}, "k8s_pod_schedule_failed", 0],
  ];
  test.each(retained)("retainJobs keeps what it says: a Job %s", async (what, fault, config, code, jobs) => {
    if (fault) await stage.local.fault(fault);
    const id = `kept-${what.replaceAll(" ", "-")}`;
    const { result, stdout } = await run("echo working; sleep 60", {
      agent: { id, companyId: "company-1", name: "Ada" },
      config: { ...config, retainJobs: true },
    });
    expect(result.errorCode).toBe(code);
    expect(stdout).toMatch(
      jobs === 1 ? /Retaining job .* for debugging/ : /could not stay, but the files of its run do/,
    );
    const left = await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${id}` });
    expect(left).toHaveLength(jobs);
    for (const { metadata } of left) await stage.local.delete("jobs", metadata.name);
    rmSync(join(stage.dataRoot, "instances/default/run-logs/company-1", id), { recursive: true });
  });

  test("a pod deleted in mid-run: the agent ran exactly once", async () => {
    const mark = `/paperclip/test-bin/once-${process.pid}`;
    const running = run(`echo x >>${mark}; echo started; sleep 3; ${answer("never said")}`);
    const pods = await stage.local.waitFor("pods", (all) =>
      all.some(({ metadata, status }) => metadata.name.startsWith("agent-") && (status as any)?.phase === "Running"),
    );
    const name = pods.find(({ metadata }) => metadata.name.startsWith("agent-"))!.metadata.name;
    await new Promise((resolve) => setTimeout(resolve, 500));
    await stage.local.delete("pods", name);
    const { result, lines } = await running;
    expect(result.errorMessage).toBeTruthy();
    expect(result.errorCode).toBe("opencode_killed");
    expect(lines.filter((line) => line === "started")).toHaveLength(1);
  });

  test("its Job deleted while its node is not heard: the agent's own end is still the end", async () => {
    const agent = { id: "job-lost", companyId: "company-1", name: "Ada", adapterType: null, adapterConfig: null };
    const running = run(`i=0; while [ $i -lt 30 ]; do echo tick; sleep 0.2; i=$((i+1)); done; ${answer("made it")}`, {
      agent,
    });
    const isOurs = ({ metadata, status }: any) =>
      metadata.name.startsWith("agent-opencode-job-lost-") && status?.phase === "Running";
    await stage.local.waitFor("pods", (all) => all.some(isOurs));
    await stage.local.fault({ kind: "kubelet-down" });
    const [job] = await stage.local.list("jobs", { labelSelector: "paperclip.io/agent-id=job-lost" });
    await stage.local.delete("jobs", job!.metadata.name);
    const { result, lines } = await running;
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      summary: "made it",
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines).toHaveLength(33);
  });

  test("its Job deleted by hand, and a node that is slow to hear of it: its last words are heard", async () => {
    const agent = { id: "job-slow", companyId: "company-1", name: "Ada", adapterType: null, adapterConfig: null };
    const running = run(
      `trap 'echo last-words; exit 143' TERM; i=0; while [ $i -lt 600 ]; do echo "tick"; sleep 1; i=$((i+1)); done`,
      { agent },
    );
    const isOurs = ({ metadata, status }: any) =>
      metadata.name.startsWith("agent-opencode-job-slow-") && status?.phase === "Running";
    await stage.local.waitFor("pods", (all) => all.some(isOurs));
    await stage.local.fault({ kind: "kubelet-down", ms: 15_000 });
    const [job] = await stage.local.list("jobs", { labelSelector: "paperclip.io/agent-id=job-slow" });
    await stage.local.delete("jobs", job!.metadata.name);
    const { result, lines } = await running;
    expect(result).toMatchObject({
      errorCode: "opencode_killed",
      timedOut: false,
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines).toContain("last-words");
  });

  test("its Job deleted by hand, as a failure", async () => {
    const agent = { id: "job-deleted", companyId: "company-1", name: "Ada", adapterType: null, adapterConfig: null };
    const running = run(`echo started; sleep 5; ${answer("never said")}`, { agent });
    const isOurs = ({ metadata, status }: any) =>
      metadata.name.startsWith("agent-opencode-job-deleted-") && status?.phase === "Running";
    await stage.local.waitFor("pods", (all) => all.some(isOurs));
    const job = (await stage.local.objects("jobs")).find(({ metadata }) =>
      metadata.name.startsWith("agent-opencode-job-deleted-"),
    );
    await stage.local.delete("jobs", job!.metadata.name);
    const { result } = await running;
    expect(result.errorMessage).toBeTruthy();
    expect(result.timedOut).toBe(false);
  });
});
