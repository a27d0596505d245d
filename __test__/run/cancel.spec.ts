/** A cancel at every stage of a run: noticed, and acknowledged when nothing is left that could run. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import type { Fault, Pod } from "../../local-cluster/client.js";
import { serve } from "./server.js";
import {
  AGENT_VERSION,
  answer,
  contextOf,
  countAroundEachTest,
  filesLeft,
  isRealCluster,
  leftByAgent,
  run,
  type Seen,
  useStage,
  whenLogged,
} from "./stage.js";

const acknowledged = { executionCancellation: { state: "acknowledged", acknowledgedAt: expect.any(String) } };

describe.skipIf(isRealCluster)("a cancel", () => {
  // What a start record says is sealed: paths must stand in it as they stand in the manifest.
  const stage = useStage({ mapping: "mount" });
  countAroundEachTest(stage);

  /** Runs, and aborts as soon as the texts were logged. What it runs does not end by itself: only a cancel ends it. */
  async function cancelAt(
    texts: string | string[],
    program: string,
    overrides: Record<string, any> = {},
  ): Promise<Seen> {
    const cancel = new AbortController();
    return run(program, {
      signal: cancel.signal,
      onCancellationReady: async () => {},
      ...overrides,
      onLog: whenLogged(texts, () => cancel.abort()),
    });
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
    ["when the log has named the opencode that is at work", [], `opencode ${AGENT_VERSION} is at work`],
  ];
  test.each(stages)("%s", async (_what, faults, at) => {
    for (const fault of faults) await stage.local.fault(fault);
    const agent = agentOf(`cancel-${Date.now()}`);
    const { result } = await cancelAt(at, `sleep 3600; ${answer("never")}`, { agent });
    expect(result).toMatchObject({ errorCode: "cancelled", exitCode: null, resultJson: acknowledged });
    await expectNothingLeft(agent.id);
  });

  test("while another run of the agent is on, in this server and in another", async () => {
    const agent = agentOf(`cancel-${Date.now()}`);
    const other = serve(contextOf(`echo at-work; sleep 3600`, { agent, context: { issueId: "other" } }));
    await other.said("at-work");
    const both = [1, 2].map(() => cancelAt("Waiting for", answer("never"), { agent, context: { issueId: "mine" } }));
    for (const { result } of await Promise.all(both)) {
      expect(result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    }
    expect(await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${agent.id}` })).toHaveLength(1);
    other.child.send("cancel");
    expect((await other.ended)?.result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    await expectNothingLeft(agent.id);
  });

  test("while the agent works: TERM comes while the host is slow, and its last words arrive", async () => {
    const mark = `term-${process.pid}-${Date.now()}`;
    const onTerm = `echo got-term >/paperclip/test-bin/${mark}; echo last-words; exit 143`;
    const program = `trap '${onTerm}' TERM; echo started; while :; do sleep 0.1; done`;
    const agent = agentOf(`cancel-${Date.now()}`);
    const cancel = new AbortController();
    // The host does not take the line before the agent has got its TERM.
    const slowly = async (): Promise<void> => {
      cancel.abort();
      expect(await leftByAgent(stage, mark)).toBe("got-term\n");
    };
    const { result, lines } = await run(program, {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog: whenLogged(["started\n", "Pod running"], slowly),
    });
    expect(result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    expect(lines).toContain("last-words");
    await expectNothingLeft(agent.id);
  });

  test("while a kubelet forgets the container before it has told its end, and its pod's object stays", async () => {
    await stage.local.fault({ kind: "forget-end" });
    const agent = agentOf(`cancel-${Date.now()}`);
    const query = { labelSelector: `paperclip.io/agent-id=${agent.id}` };
    const setFinalizers = async (finalizers: string[]): Promise<void> => {
      const [pod] = await stage.local.list("pods", query);
      await stage.local.patch("pods", pod!.metadata.name, { metadata: { finalizers } });
    };
    const cancel = new AbortController();
    const { result } = await run(`trap 'exit 143' TERM; echo started; while :; do sleep 0.1; done`, {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog: whenLogged(["started\n", "Pod running"], async () => {
        await setFinalizers(["example.com/held"]);
        cancel.abort();
      }),
    });
    expect(result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    const [held] = (await stage.local.list("pods", query)) as Pod[];
    expect(held!.status.containerStatuses![0]!.state).toHaveProperty("waiting");
    await setFinalizers([]);
    await expectNothingLeft(agent.id);
  });

  test("while the end is being delivered to a host that never answers: an answer, with what the run was", async () => {
    const agent = agentOf(`cancel-${Date.now()}`);
    const cancel = new AbortController();
    const never = (): Promise<void> => {
      cancel.abort();
      return new Promise(() => {});
    };
    const { result, stderr } = await run(answer("it had ended"), {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog: whenLogged('"stop"', never),
    });
    expect(result).toMatchObject({ summary: "it had ended", resultJson: acknowledged });
    // What it says of a host for which it has waited as long as without a cancel.
    expect(stderr).not.toContain("did not return within");
    await expectNothingLeft(agent.id);
  });

  test("while the API server does not answer the create: no agent starts", async () => {
    await stage.local.fault({ kind: "hang", verb: "create", resource: "jobs" });
    await stage.local.resetRequests();
    const agent = agentOf(`cancel-create-${Date.now()}`);
    const cancel = new AbortController();
    const running = run(answer("never"), {
      agent,
      signal: cancel.signal,
      onCancellationReady: async () => {},
    });
    await expect.poll(async () => (await stage.local.requests())["create jobs"]).toBe(1);
    cancel.abort();
    expect((await running).result).toMatchObject({ errorCode: "cancelled", exitCode: null });
    await stage.local.clearFaults();
    await expectNothingLeft(agent.id);
  });

  test("goes through while the server's token is being renewed", async () => {
    await stage.local.fault({ kind: "status", code: 401, verb: "delete", resource: "jobs", count: 6 });
    const agent = agentOf(`cancel-renewed-${Date.now()}`);
    const { result } = await cancelAt(["started\n", "Pod running"], "echo started; sleep 3600", { agent });
    expect(result).toMatchObject({ errorCode: "cancelled", resultJson: acknowledged });
    await expectNothingLeft(agent.id);
  });

  test("whose Job may not be deleted keeps the files of the agent that goes on, until it may", async () => {
    await stage.local.fault({ kind: "status", code: 403, verb: "delete", resource: "jobs" });
    const agent = agentOf(`cancel-denied-${Date.now()}`);
    const { result } = await cancelAt(["started\n", "Pod running"], "echo started; sleep 3600", { agent });
    expect(result.errorCode).toBe("cancelled");
    expect(result.resultJson).not.toMatchObject(acknowledged);
    expect(filesLeft(stage).filter((name) => name.includes(agent.id))).not.toEqual([]);
    await stage.local.clearFaults();
    // Somebody has granted the right: the agent that nobody wants works no longer than until the next try.
    await forget(agent.id);
  });

  test.each<[string, Parameters<typeof stage.local.fault>[0]]>([
    // The start hangs at its gate, whose list comes after the create.
    ["could not withdraw its Job in time", { kind: "hang", verb: "list", resource: "jobs" }],
    ["never heard of its Job", { kind: "status", code: 504, perform: true, verb: "create", resource: "jobs" }],
  ])("that %s leaves a closed gate, and the Job goes when it can", async (_, fault) => {
    const agent = agentOf(`cancel-start-${Date.now()}`);
    const cancel = new AbortController();
    const onMeta = async (): Promise<void> => {
      await stage.local.fault(fault);
      await stage.local.fault({ kind: "status", code: 503, verb: "delete", resource: "jobs" });
    };
    const running = run("echo never", {
      agent,
      onMeta,
      signal: cancel.signal,
      onCancellationReady: async () => {},
    });
    await stage.local.waitFor("jobs", (jobs) => jobs.length > 0);
    cancel.abort();
    const { result } = await running;
    expect(result.errorCode).toBe("cancelled");
    expect(result.resultJson ?? {}).not.toHaveProperty("executionCancellation");
    const gates = filesLeft(stage).filter((name) => name.includes(agent.id) && name.endsWith(".nonce"));
    expect(gates).toHaveLength(1);
    await stage.local.clearFaults();
    await stage.local.waitFor("jobs", (jobs) => jobs.length === 0);
    await expect.poll(() => filesLeft(stage).filter((name) => name.includes(agent.id))).toEqual([]);
    await expectNothingLeft(agent.id);
  });

  test("is not acknowledged when nobody knows that its pod is gone; the next run tells the rest", async () => {
    const agent = agentOf(`cancel-${Date.now()}`);
    const task = { agent, context: { issueId: agent.id } };
    await stage.local.fault({ kind: "hang", verb: "delete", resource: "jobs" });
    const onTerm = `. /paperclip/test-bin/more-${agent.id}; exit 0`;
    const program = `trap '${onTerm}' TERM; ${answer("one")}\necho started; sleep 3600 & wait`;
    writeFileSync(join(stage.dataRoot, "test-bin", `more-${agent.id}`), answer("two"));
    const { result } = await cancelAt(["started\n", "Pod running"], program, task);
    expect(result.errorCode).toBe("cancelled");
    expect(result.resultJson ?? {}).not.toHaveProperty("executionCancellation");
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
