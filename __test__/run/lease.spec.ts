/** A host that aborts a run without a cancel: its Job is lost to nobody, and a cancel that comes later is still one. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

import { native } from "../boundary/package.js";
import { answer, isRealCluster, run, type Seen, useStage, whenLogged } from "./stage.js";
import { expectNothingLeft, held, release, reports, STEADY, timesRun, type Work, work } from "./work.js";

const stage = useStage();

/** The host's records of runs, by id. A number is a status of HTTP. */
const records = new Map<string, object | number>();
let host: Server;
beforeAll(async () => {
  host = createServer(({ url }, response) => {
    const record = records.get(/heartbeat-runs\/(.*)/.exec(url ?? "")?.[1] ?? "") ?? 404;
    response.statusCode = typeof record === "number" ? record : 200;
    response.end(JSON.stringify(record));
  });
  await new Promise<void>((resolve) => host.listen(0, "127.0.0.1", resolve));
  process.env["PAPERCLIP_API_URL"] = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;
});
afterAll(() => host.close());

const running = { status: "running", resultJson: null };
const requested = { status: "running", resultJson: { executionCancellation: { state: "requested" } } };

const holdsNothing = (): void =>
  expect(native.heldResources()).toMatchObject({ agents: 0, places: 0, tails: 0, stuckThreads: 0 });
beforeEach(holdsNothing);

let runs = 0;

/** A run whose lease is lost when it has logged the text. */
function losesLease(task: Work, program: string, record: object | number, at = "line 3\n") {
  const runId = `lease-${process.pid}-${Date.now()}-${runs++}`;
  const controller = new AbortController();
  const lose = (): void => {
    records.set(runId, record);
    controller.abort(new Error("Legacy controller lease lost"));
  };
  const { signal } = controller;
  const over = { ...task, runId, signal, onCancellationReady: async () => {} };
  const ended = (onLog = whenLogged(at, lose)): Promise<Seen> => run(program, { ...over, onLog });
  return { runId, lose, ended };
}

/** The next run of the task takes the Job over, with all of its output and its usage. */
async function expectTakenOver(task: Work, next: Promise<Seen>): Promise<void> {
  const { result, lines, stdout } = await next;
  expect(result, JSON.stringify(result)).toMatchObject({
    exitCode: 0,
    errorMessage: null,
    usage: { inputTokens: 10 },
    resultJson: { log: { proof: "proven" } },
  });
  expect(lines.slice(0, 11)).toEqual(STEADY);
  expect(lines).toHaveLength(14);
  expect(stdout).toContain("Reattaching");
  expect(reports(stdout)).toEqual([]);
  expect(timesRun(stage, task)).toBe(1);
  await expectNothingLeft(stage, task);
  holdsNothing();
}

test.each(["interrupted", "failed"])(
  "a run that is %s is left to the task's next one, which waits already",
  async (status) => {
    const task = work();
    const first = losesLease(task, held(task), { status });
    // It has the agent's turn as soon as the first has left.
    let next: Promise<Seen> | undefined;
    const onLog = whenLogged("line 3\n", () => {
      const atWork = whenLogged("Reattaching", () => release(stage, task));
      const behind = whenLogged("Waiting for", first.lose);
      next = run(held(task), {
        ...task,
        onLog: async (...call: [string, string]) => {
          await behind(...call);
          await atWork(...call);
        },
      });
    });
    await expect(first.ended(onLog)).rejects.toThrow(/^Run given up by Paperclip: .* next run takes it over$/);
    await expectTakenOver(task, next!);
  },
);

test("a run that was left at any moment: the next one delivers all, and the agent ran once", async () => {
  const leftAt = async (text: string): Promise<void> => {
    const task = work();
    const first = losesLease(task, held(task), { status: "interrupted" }, text);
    await expect(first.ended()).rejects.toThrow("Run given up by Paperclip");
    expect(native.heldResources(), text).toMatchObject({ agents: 0, places: 0, tails: 0, stuckThreads: 0 });
    const { result, lines } = await run(held(task), {
      ...task,
      onLog: async (_stream: string, chunk: string) =>
        void (/Reattaching|Created K8s Job/.test(chunk) && release(stage, task)),
    });
    expect(result, `${text}: ${JSON.stringify(result)}`).toMatchObject({ exitCode: 0, errorMessage: null });
    expect(lines.slice(0, 11)).toEqual(STEADY);
    expect(timesRun(stage, task), text).toBe(1);
    await expectNothingLeft(stage, task);
  };
  for (const text of ["Created K8s Job", "Pod running", "line 0", "line 10"]) await leftAt(text);
});

test("a run whose host had lost its database works on, and says that nobody has cancelled it", async () => {
  const task = work();
  const first = losesLease(task, held(task, "all of it"), 500);
  const onLog = whenLogged("line 3\n", first.lose);
  const back = whenLogged("lost its lease on this run", () => {
    records.set(first.runId, running);
    release(stage, task);
  });
  const { result, lines } = await first.ended(async (...call) => {
    await onLog(...call);
    await back(...call);
  });
  expect(result).toMatchObject({
    exitCode: 0,
    summary: "all of it",
    errorMessage: expect.stringMatching(/^Not cancelled: the agent has done its work/),
    usage: { inputTokens: 10 },
  });
  expect(result.resultJson).not.toHaveProperty("executionCancellation");
  expect(lines).toHaveLength(14);
  expect(timesRun(stage, task)).toBe(1);
  await expectNothingLeft(stage, task);
});

test.each([
  ["asked for in this server, after the lease was lost", requested],
  ["of another server, of which only the lease tells", { status: "cancelled" }],
])("a cancel %s ends the agent", async (_what, record) => {
  const task = work();
  const first = losesLease(task, held(task), running);
  const onLog = whenLogged("line 3\n", first.lose);
  const cancel = whenLogged("lost its lease on this run", () => void records.set(first.runId, record));
  const { result } = await first.ended(async (...call) => {
    await onLog(...call);
    await cancel(...call);
  });
  expect(result).toMatchObject({
    errorCode: "cancelled",
    resultJson: { executionCancellation: { state: "acknowledged" } },
  });
  await expectNothingLeft(stage, task);
});

test("a run whose lease is lost before anything was made makes nothing, and may be repeated", async () => {
  const task = work();
  const signal = AbortSignal.abort(new Error("Legacy controller lease lost"));
  const { result } = await run(answer("never"), { ...task, signal, onCancellationReady: async () => {} });
  expect(result).toMatchObject({
    errorCode: "k8s_lease_lost",
    executionRecovery: { kind: "bootstrap", providerWorkStarted: false },
  });
  await expectNothingLeft(stage, task);
});

test.skipIf(isRealCluster)("leaves Job and Secret of a run as they are", async () => {
  const task = work();
  const query = { labelSelector: `paperclip.io/agent-id=${task.agent.id}` };
  const objects = async (): Promise<(string | undefined)[]> =>
    [...(await stage.local.list("jobs", query)), ...(await stage.local.list("secrets", query))].map(
      ({ metadata }) => metadata.uid,
    );
  let before: (string | undefined)[] = [];
  const first = losesLease(task, held(task), { status: "interrupted" });
  const atWork = whenLogged("line 3\n", async () => {
    before = await objects();
    first.lose();
  });
  await expect(first.ended(atWork)).rejects.toThrow("Run given up");
  expect(before).toHaveLength(2);
  expect(await objects()).toEqual(before);
  const onLog = whenLogged("Reattaching", () => release(stage, task));
  await expectTakenOver(task, run(held(task), { ...task, onLog }));
});
