/** A cancel at every stage of a run: heard at once, acknowledged when nothing is left that could run. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
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
  type Seen,
  type Stage,
} from "./stage.js";

const acknowledged = { executionCancellation: { state: "acknowledged", acknowledgedAt: expect.any(String) } };

describe.skipIf(isRealCluster)("a cancel", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage();
  });
  countAroundEachTest(() => stage);
  afterAll(() => stage.close());

  /** Runs, aborts as soon as the text was told, and says how long the answer took after that. */
  async function cancelAt(
    text: string,
    program: string,
    overrides: Record<string, any> = {},
  ): Promise<Seen & { took: number }> {
    const cancel = new AbortController();
    const log: [string, string][] = [];
    let since = 0;
    const ended = await run(program, {
      signal: cancel.signal,
      onCancellationReady: async () => {},
      ...overrides,
      onLog: async (stream: string, chunk: string) => {
        log.push([stream, chunk]);
        if (since > 0 || !chunk.includes(text)) return;
        since = Date.now();
        cancel.abort();
      },
    });
    return { ...ended, took: Date.now() - since };
  }

  async function expectNothingLeft(agent: string): Promise<void> {
    const query = { labelSelector: `paperclip.io/agent-id=${agent}` };
    expect(await stage.local.list("jobs", query)).toEqual([]);
    expect(await stage.local.list("pods", query)).toEqual([]);
    expect(filesLeft(stage).filter((name) => name.includes(agent))).toEqual([]);
  }

  const agentOf = (id: string) => ({ id, companyId: "company-1", name: "Ada" });

  /** What an agent that goes on must keep is taken away when it has ended. */
  async function forget(agent: string): Promise<void> {
    const pods = (): Promise<object[]> => stage.local.list("pods", { labelSelector: `paperclip.io/agent-id=${agent}` });
    await expect.poll(pods).toEqual([]);
    rmSync(join(stage.dataRoot, "instances/default/run-logs/company-1", agent), { recursive: true });
  }

  const stages: [what: string, faults: Fault[], at: string][] = [
    ["while no node takes the pod", [{ kind: "unschedulable" }], "Waiting for pod to be scheduled"],
    ["while the container is being made", [{ kind: "waiting", reason: "ContainerCreating" }], "phase=Pending"],
    [
      "while the API server is slow to create",
      [{ kind: "status", code: 503, verb: "create", count: 2 }],
      "Created K8s Job",
    ],
    ["while watching is forbidden", [{ kind: "status", code: 403, verb: "watch" }], "Created K8s Job"],
  ];
  test.each(stages)("%s", async (_what, faults, at) => {
    for (const fault of faults) await stage.local.fault(fault);
    const agent = agentOf(`cancel-${Date.now()}`);
    const { result, took } = await cancelAt(at, answer("never"), { agent });
    expect(result).toMatchObject({ errorCode: "cancelled", exitCode: null, resultJson: acknowledged });
    expect(took).toBeLessThan(4_000);
    await expectNothingLeft(agent.id);
  });

  test("while another run of the agent is on, in this server and in another", async () => {
    const agent = agentOf(`cancel-${Date.now()}`);
    const other = serve(contextOf(`echo at-work; sleep 20`, { agent, context: { issueId: "other" } }));
    await other.said("at-work");
    const both = [1, 2].map(() => cancelAt("Waiting for", answer("never"), { agent, context: { issueId: "mine" } }));
    for (const { result, took } of await Promise.all(both)) {
      expect(result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
      expect(took).toBeLessThan(2_000);
    }
    expect(await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${agent.id}` })).toHaveLength(1);
    other.child.send("cancel");
    expect((await other.ended)?.result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    await expectNothingLeft(agent.id);
  });

  test("while the agent works: TERM within 2 s, its last words arrive, and the host may be slow", async () => {
    const mark = `term-${Date.now()}`;
    const atEnd = `date +%s%3N >/paperclip/test-bin/${mark}; echo last-words; exit 143`;
    const program = `trap '${atEnd}' TERM; echo started; i=0; while [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done`;
    const agent = agentOf(`cancel-${Date.now()}`);
    const cancel = new AbortController();
    let aborted = 0;
    const told: string[] = [];
    const { result } = await run(program, {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog: async (_stream: string, chunk: string) => {
        told.push(chunk);
        if (!chunk.includes("started\n") || aborted > 0) return;
        aborted = Date.now();
        cancel.abort();
        // A host that does not take this line for a long time must not hold up the TERM.
        await new Promise((resolve) => setTimeout(resolve, 4_000));
      },
    });
    expect(result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    expect(Number(readFileSync(join(stage.dataRoot, "test-bin", mark), "utf8")) - aborted).toBeLessThan(2_000);
    expect(told.join("")).toContain("last-words\n");
    await expectNothingLeft(agent.id);
  });

  test("while the end is being delivered: the answer comes soon, with what the run was", async () => {
    const agent = agentOf(`cancel-${Date.now()}`);
    const cancel = new AbortController();
    let aborted = 0;
    const { result } = await run(answer("it had ended"), {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog: async (_stream: string, chunk: string) => {
        if (!chunk.includes('"stop"')) return;
        setTimeout(() => {
          aborted = Date.now();
          cancel.abort();
        }, 1_000);
        await new Promise(() => {});
      },
    });
    expect(Date.now() - aborted).toBeLessThan(5_000);
    expect(result).toMatchObject({ summary: "it had ended", resultJson: acknowledged });
    await expectNothingLeft(agent.id);
  });

  test("while the API server does not answer the create: the answer comes soon, and no agent starts", async () => {
    await stage.local.fault({ kind: "hang", verb: "create", resource: "jobs" });
    const agent = agentOf(`cancel-create-${Date.now()}`);
    const cancel = new AbortController();
    const onDispatch = (): void => void setTimeout(() => cancel.abort(), 300);
    const started = Date.now();
    const { result } = await run(answer("never"), {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onDispatch,
    });
    expect(result).toMatchObject({ errorCode: "cancelled", exitCode: null });
    expect(Date.now() - started).toBeLessThan(10_000);
    await stage.local.clearFaults();
    await expectNothingLeft(agent.id);
  });

  test("whose Job may not be deleted keeps the files of the agent that goes on", async () => {
    await stage.local.fault({ kind: "status", code: 403, verb: "delete", resource: "jobs" });
    const agent = agentOf(`cancel-denied-${Date.now()}`);
    const { result } = await cancelAt("started", "echo started; sleep 8", { agent });
    expect(result.errorCode).toBe("cancelled");
    expect(result.resultJson).not.toMatchObject(acknowledged);
    expect(filesLeft(stage).filter((name) => name.includes(agent.id))).not.toEqual([]);
    await stage.local.clearFaults();
    for (const { metadata } of await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${agent.id}` })) {
      await stage.local.delete("jobs", metadata.name);
    }
    await forget(agent.id);
  });

  test("is not acknowledged when nobody can say that the pod is gone, and what it used later is told by the next run", async () => {
    const agent = agentOf(`cancel-${Date.now()}`);
    const task = { agent, context: { issueId: agent.id } };
    await stage.local.fault({ kind: "hang", verb: "delete", resource: "jobs" });
    const atEnd = `. /paperclip/test-bin/more-${agent.id}; exit 0`;
    const program = `trap '${atEnd}' TERM; ${answer("one")}\necho started; sleep 300 & wait`;
    writeFileSync(join(stage.dataRoot, "test-bin", `more-${agent.id}`), answer("two"));
    const { result, took } = await cancelAt("started\n", program, task);
    expect(result.errorCode).toBe("cancelled");
    expect(result.resultJson ?? {}).not.toHaveProperty("executionCancellation");
    expect(took).toBeLessThan(50_000);
    expect(result).toMatchObject({ usage: { inputTokens: 10 }, costUsd: 0.5 });
    await stage.local.clearFaults();
    const pods = (): Promise<object[]> =>
      stage.local.list("pods", { labelSelector: `paperclip.io/agent-id=${agent.id}` });
    await expect.poll(pods).toEqual([]);
    const next = await run(answer("three"), task);
    expect(next.result).toMatchObject({ exitCode: 0, summary: "three", usage: { inputTokens: 20 }, costUsd: 1 });
    await expectNothingLeft(agent.id);
  });
});
