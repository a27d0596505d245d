/** Runs that fail, time out or lose what they run in: each ends with the right code, and nothing is left behind. */
import { rmSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import type { Fault } from "../../local-cluster/client.js";
import { serve } from "./server.js";
import {
  answer,
  contextOf,
  countAroundEachTest,
  filesLeft,
  gate,
  isRealCluster,
  leftByAgent,
  run,
  type Seen,
  useStage,
  whenLogged,
} from "./stage.js";

// Faults can be had on request from the stand-in only.
describe.skipIf(isRealCluster)("a run ends with", () => {
  const stage = useStage();
  countAroundEachTest(stage);

  const failures: [what: string, fault: Fault, config: Record<string, unknown>, code: string, says: RegExp][] = [
    [
      "an image that cannot be pulled",
      { kind: "image-pull" },
      {},
      "k8s_pod_schedule_failed",
      /^Image \S.*: (ErrImagePull|ImagePullBackOff): .*\(container (opencode|write-prompt) of pod .*\)\. \w/,
    ],
    [
      "an init container that fails",
      { kind: "init-failure", exitCode: 3 },
      {},
      "k8s_pod_schedule_failed",
      /^Init container failed: write-prompt .*code 3/,
    ],
    [
      "an init container that cannot write",
      { kind: "init-failure", exitCode: 66 },
      {},
      "k8s_pod_schedule_failed",
      /^Volume not writable: .*: write-prompt exited with code 66 .*\. Let user and group/,
    ],
    [
      "a pod that no node takes",
      { kind: "unschedulable", message: "0/1 nodes are available: 1 Insufficient cpu." },
      { scheduleTimeoutSec: 1 },
      "k8s_pod_schedule_failed",
      /^Not enough CPU on any node: .*0\/1 nodes.*Lower \*CPU to reserve\*/,
    ],
    [
      "a pod that its node does not take",
      { kind: "reject", reason: "OutOfcpu", message: "Node didn't have enough resource: cpu" },
      {},
      "k8s_pod_schedule_failed",
      /^Node had no room left: OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu/,
    ],
    [
      "pods that are not admitted",
      { kind: "deny-pods", message: 'pods "x" is forbidden: exceeded quota: agents' },
      { scheduleTimeoutSec: 1 },
      "k8s_pod_schedule_failed",
      /^Quota exceeded: FailedCreate: .*exceeded quota: agents.*no pod was made for job .* within 1 s.*raise it/,
    ],
    [
      "a container that waits for its configuration",
      { kind: "waiting", reason: "CreateContainerConfigError", message: 'secret "keys" not found' },
      {},
      "k8s_pod_schedule_failed",
      /^Secret not found: CreateContainerConfigError: .*\. Make it in the Jobs. namespace/,
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
      /did not answer within 1[0-5] s/,
    ],
    [
      "a guard that may not list",
      { kind: "status", code: 403, verb: "list", resource: "jobs" },
      {},
      "k8s_concurrency_guard_unreachable",
      /list jobs.*Grant this verb/,
    ],
  ];

  test.each(failures)("%s, as a failure that names it", async (_what, fault, config, code, says) => {
    await stage.local.fault(fault);
    const { result } = await run(answer("never said"), { config });
    expect(result.errorMessage).toMatch(says);
    expect(result.errorCode).toBe(code);
    expect(result.timedOut).toBe(false);
    await stage.local.clearFaults();
    expect(await stage.local.objects("jobs")).toEqual([]);
    expect(filesLeft(stage)).toEqual([]);
  });

  const strikes: [what: string, fault: Fault, says: RegExp][] = [
    ["an out-of-memory kill", { kind: "oom" }, /OOM/],
    ["an eviction", { kind: "evict", mode: "node-pressure" }, /Evicted|evict/i],
  ];
  test.each(strikes)("%s of an agent at work, as a failure that names it", async (_what, fault, says) => {
    const onLog = whenLogged(["started\n", "Pod running"], () => stage.local.fault(fault));
    const { result } = await run("echo started; sleep 3600", { onLog });
    expect(result.errorMessage).toMatch(says);
    expect(result).toMatchObject({ errorCode: "opencode_killed", timedOut: false });
    await stage.local.waitFor("jobs", (jobs) => jobs.length === 0);
    expect(filesLeft(stage)).toEqual([]);
  });

  const lateOnes: [what: string, fault: Fault | undefined, program: string, config?: Record<string, unknown>][] = [
    ["whose pod no node takes", { kind: "unschedulable" }, "echo never"],
    ["whose container is still being made", { kind: "waiting", reason: "ContainerCreating" }, "echo never"],
    ["whose status comes late", { kind: "lag-status", ms: 1_500 }, "echo working; sleep 3600"],
    [
      "whose phase comes before its state",
      { kind: "lag-status", ms: 1_500, first: "phase" },
      "echo working; sleep 3600",
    ],
    ["which calls being ended a success, without a word", undefined, "trap 'exit 0' TERM; sleep 3600 & wait"],
    [
      "which answers being ended with a code of its own",
      undefined,
      "trap 'exit 3' TERM; echo working; sleep 3600 & wait",
    ],
    [
      "beside a sidecar that ignores being ended",
      { kind: "sidecar", command: ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"] },
      "echo working; sleep 3600",
    ],
    ["whose Job goes with its end", undefined, "echo working; sleep 3600", { ttlSecondsAfterFinished: 0 }],
    ["whose watches break off", { kind: "drop-watch", afterEvents: 1 }, "echo working; sleep 3600"],
    ["behind a Role without watch", { kind: "status", code: 403, verb: "watch" }, "echo working; sleep 3600"],
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

  test("a Job's own deadline for an agent whose node does not report: a timeout", async () => {
    const clear = await stage.local.fault({ kind: "kubelet-down" });
    const running = run("echo never", { config: { timeoutSec: 1, graceSec: 300 } });
    await stage.local.waitFor("jobs", (jobs) => jobs.some(({ status }) => status?.conditions));
    await clear();
    expect((await running).result).toMatchObject({
      timedOut: true,
      errorCode: "timeout",
      errorMessage: expect.stringMatching(/^Timed out after 1s/),
    });
    expect(filesLeft(stage)).toEqual([]);
  });

  test("a deadline for an agent that never started says so", async () => {
    await stage.local.fault({ kind: "unschedulable" });
    const { result } = await run("echo never", { config: { timeoutSec: 1, graceSec: 30 } });
    expect(result.errorMessage).toMatch(/^Timed out after 1s; its pod had not started opencode yet/);
  });

  test("an agent that fails by itself before its deadline did not time out", async () => {
    const { result } = await run("echo working; exit 3", { config: { timeoutSec: 900 } });
    expect(result).toMatchObject({ timedOut: false, exitCode: 3 });
  });

  test("an agent that failed before its deadline did not time out though a sidecar keeps its Job", async () => {
    await stage.local.fault({ kind: "sidecar" });
    const id = `sidecar-${process.pid}`;
    // The deadline is further away than the test takes: that its coming changes nothing is for a stopped clock.
    const config = { timeoutSec: 900, graceSec: 30 };
    const task = { agent: { id, companyId: "company-1", name: "Ada" }, context: { issueId: id }, config };
    const { wait, open } = gate(stage);
    const program = `echo at-work; ${wait}; exit 3`;
    const dead = serve(contextOf(program, task));
    await dead.said("at-work");
    dead.child.kill("SIGKILL");
    await dead.ended;
    const { result } = await run(program, { ...task, onLog: whenLogged("Reattaching", open) });
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
    const { result, stdout } = await run("echo working; sleep 3600", {
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
    const mark = `once-${process.pid}`;
    // A pod of the test before may still be on its way out.
    const deletesPod = async (): Promise<void> => {
      const [ours] = await stage.local.list("pods", { labelSelector: `paperclip.io/run-id=${mark}` });
      await stage.local.delete("pods", ours!.metadata.name);
    };
    const { result, lines } = await run(`echo x >>/paperclip/test-bin/${mark}; echo started; sleep 3600`, {
      runId: mark,
      onLog: whenLogged(["started\n", "Pod running"], deletesPod),
    });
    expect(result.errorMessage).toBeTruthy();
    expect(result.errorCode).toBe("opencode_killed");
    expect(lines.filter((line) => line === "started")).toHaveLength(1);
    expect(await leftByAgent(stage, mark)).toBe("x\n");
  });

  /** Runs the program, and deletes its Job by hand when the agent works. */
  async function withoutJob(
    agent: string,
    program: string,
    before: () => unknown,
    after: () => unknown,
  ): Promise<Seen> {
    const deletesJob = async (): Promise<void> => {
      await before();
      const [job] = await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${agent}` });
      await stage.local.delete("jobs", job!.metadata.name);
      await after();
    };
    return run(program, {
      agent: { id: agent, companyId: "company-1", name: "Ada", adapterType: null, adapterConfig: null },
      onLog: whenLogged(["at-work\n", "Pod running"], deletesJob),
    });
  }

  test("its Job deleted while its node does not report: the agent's own end is still the end", async () => {
    const { wait, open } = gate(stage);
    const falls = (): Promise<unknown> => stage.local.fault({ kind: "kubelet-down" });
    const program = `echo at-work; ${wait}; echo ticks; ${answer("made it")}`;
    const { result, lines } = await withoutJob("job-lost", program, falls, open);
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      summary: "made it",
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines).toHaveLength(5);
  });

  test("its Job deleted by hand, and a node that learns of it late: its last words are read", async () => {
    // Far longer than it usually takes, and far from the 75 s after which nobody waits for last words any more.
    const falls = (): Promise<unknown> => stage.local.fault({ kind: "kubelet-down", ms: 15_000 });
    const program = `trap 'echo last-words; exit 143' TERM; echo at-work; while :; do sleep 0.2; done`;
    const { result, lines } = await withoutJob("job-slow", program, falls, () => {});
    expect(result).toMatchObject({
      errorCode: "opencode_killed",
      timedOut: false,
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines).toContain("last-words");
  });

  test("its Job deleted by hand, as a failure", async () => {
    const nothing = (): void => {};
    const { result } = await withoutJob("job-deleted", "echo at-work; sleep 3600", nothing, nothing);
    expect(result.errorMessage).toBeTruthy();
    expect(result.timedOut).toBe(false);
  });
});
