/** Runs while the cluster misbehaves: each ends with the right code, every line once, and nothing left behind. */
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
  recordOf,
  run,
  useStage,
  whenLogged,
} from "./stage.js";

// Faults can be had on request from the stand-in only.
describe.skipIf(isRealCluster)("a run survives", () => {
  const stage = useStage();
  countAroundEachTest(stage);

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
    // For longer than an API server may need to know its Roles.
    ["a token that is renewed while the run starts", [{ kind: "status", code: 401, verb: "list", count: 14 }]],
    ["a token that is renewed when it ends", [{ kind: "status", code: 401, verb: "delete", count: 6 }]],
    ["a status that comes late", [{ kind: "lag-status", ms: 1_000 }]],
    ["a sidecar that never ends", [{ kind: "sidecar" }]],
    ["a native sidecar", [{ kind: "sidecar", native: true }]],
    ["a kubelet that forgets how the container ended", [{ kind: "forget-end" }]],
    ["an out-of-memory kill of a child", [{ kind: "oom", exitCode: 0 }]],
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
    await stage.local.waitFor("jobs", (jobs) => jobs.length === 0);
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
    const { wait, open } = gate(stage);
    const other = serve(
      contextOf(`echo at-work; ${wait}; ${answer("the other")}`, { agent, context: { issueId: "other" } }),
    );
    await other.said("at-work");
    const onLog = whenLogged("Waiting for concurrent", () => stage.local.fault({ kind: "outage" }));
    const running = run(answer("mine"), { agent, context: { issueId: "mine" }, onLog });
    await expect.poll(() => stage.local.list("jobs").catch(() => "away")).toBe("away");
    // A list is given up after 15 s, and made every 5 s.
    await new Promise((resolve) => setTimeout(resolve, 22_000));
    await stage.local.clearFaults();
    open();
    expect((await running).result).toMatchObject({ exitCode: 0, summary: "mine" });
    expect((await other.ended)?.result).toMatchObject({ exitCode: 0, summary: "the other" });
  });

  test("another run of the agent whose server died before the agent could start", async () => {
    const agent = { id: `stalled-${process.pid}`, companyId: "company-1", name: "Ada" };
    // What the dead server's Job is given up after is also what the run's own pod may take to start.
    const limits = { config: { scheduleTimeoutSec: 10, startTimeoutSec: 15 } };
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

  test("a Job that somebody deletes and whose pod is spared, until the agent has ended", async () => {
    const agent = { id: `orphan-${process.pid}`, companyId: "company-1", name: "Ada" };
    const { wait, open } = gate(stage);
    const orphan = async (): Promise<void> => {
      const query = { labelSelector: `paperclip.io/agent-id=${agent.id}` };
      const [job] = await stage.local.list("jobs", query);
      await stage.local.delete("jobs", job!.metadata.name, { propagationPolicy: "Orphan" });
      await expect.poll(() => stage.local.list("jobs", query)).toEqual([]);
      // The API server tells of the pod without an owner before it tells that the Job is gone.
      open();
    };
    const { result, lines } = await run(`echo one; ${wait}; sleep 15; echo two; ${answer("made it")}`, {
      agent,
      onLog: whenLogged("one\n", orphan),
    });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines.slice(0, 2)).toEqual(["one", "two"]);
    for (const pod of await stage.local.list("pods", { labelSelector: `paperclip.io/agent-id=${agent.id}` })) {
      await stage.local.delete("pods", pod.metadata.name);
    }
  });

  test("an outage in mid-run", async () => {
    const agent = { id: `outage-${process.pid}`, companyId: "company-1", name: "Ada" };
    const { wait, open } = gate(stage);
    const goesAway = async (): Promise<void> => {
      await stage.local.fault({ kind: "outage" });
      open();
    };
    const running = run(`echo one; ${wait}; echo two; ${answer("made it")}`, {
      agent,
      onLog: whenLogged("one\n", goesAway),
    });
    await recordOf(stage, agent.id);
    await stage.local.clearFaults();
    const { result, lines } = await running;
    expect(result, JSON.stringify(result)).toMatchObject({ exitCode: 0, errorMessage: null });
    expect(lines.slice(0, 2)).toEqual(["one", "two"]);
  });

  test("an outage while the pod is on its way is longer than that may take", async () => {
    const goesAway = (): Promise<unknown> => stage.local.fault({ kind: "outage", ms: 17_000 });
    const { result } = await run(answer("made it"), {
      config: { scheduleTimeoutSec: 15, startTimeoutSec: 15 },
      onLog: whenLogged("Waiting for pod to be scheduled", goesAway),
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

  test("an API server that stays away: unknown, the Job stays, the next run gives all, reports the rest", async () => {
    const id = `away-${process.pid}`;
    const task = { agent: { id, companyId: "company-1", name: "Ada" }, context: { issueId: id } };
    const step = answer("first").replace('"reason":"stop"', '"reason":"tool-calls"');
    const { wait, open } = gate(stage);
    const program = `${step}\necho at-work; ${wait}; ${answer("made it")}`;
    const onLog = whenLogged("at-work", () => stage.local.fault({ kind: "outage" }));
    const { result } = await run(program, { ...task, config: { outageTimeoutSec: 2 }, onLog });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: null,
      errorCode: "k8s_api_unreachable",
      timedOut: false,
      usage: { inputTokens: 10 },
      costUsd: 0.5,
    });
    expect(result.errorMessage).toMatch(/^API server not reachable.*The Job .* is kept/);
    await stage.local.clearFaults();
    expect(await stage.local.list("jobs")).toHaveLength(1);
    const next = await run(program, { ...task, onLog: whenLogged("Reattaching", open) });
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
    const forgets = (): Promise<unknown> => stage.local.fault({ kind: "compact" });
    const { result } = await run(slow, { onLog: whenLogged("Created K8s Job", forgets) });
    expect(result).toMatchObject({ exitCode: 0, errorMessage: null });
  });
});
