/** Servers that die, and servers that run side by side: no Job is lost, none runs twice, none is left behind. */
import { describe, expect, test } from "vitest";

import { serve } from "./server.js";
import { answer, contextOf, gate, isRealCluster, run, useStage, whenLogged } from "./stage.js";
import {
  abandon,
  expectNothingLeft,
  held,
  over,
  release,
  STEADY,
  steady,
  timesRun,
  reports,
  type Work,
  work,
} from "./work.js";

const stage = useStage();

/** How many moments of a run to be killed at; the default keeps the suite quick. */
const MOMENTS = Number(process.env["TEST_RESTARTS"] ?? 8);
/** The agent ends in its own time, or not before somebody has taken its Job over. */
async function killedAt(ms: number, isHeld: boolean): Promise<string> {
  const task = work();
  const program = isHeld ? held(task) : steady(task);
  const context = contextOf(program, task);
  const first = serve(context);
  // A process needs its time to start: only the first moments are counted from there, the others from its Job.
  if (ms >= 0) await first.said("Created K8s Job");
  await new Promise((resolve) => setTimeout(resolve, Math.abs(ms)));
  first.child.kill("SIGKILL");
  await first.ended;
  const heardAll = first.log.some(([, chunk]) => chunk.includes('"reason":"stop"'));
  const hasJob = first.log.some(([, chunk]) => chunk.includes("Created K8s Job"));
  const isTaken = (_stream: string, chunk: string): void =>
    void (/Reattaching|Created K8s Job/.test(chunk) && release(stage, task));
  const { result, lines, stdout } = await run(program, { ...task, onLog: isTaken });
  expect(result, JSON.stringify(result)).toMatchObject({
    exitCode: 0,
    errorMessage: null,
    resultJson: { log: { proof: "proven" } },
  });
  expect(lines.slice(0, 11)).toEqual(STEADY);
  expect(lines).toHaveLength(14);
  if (isHeld && hasJob) expect(stdout).toContain("Reattaching");
  const reported = reports(stdout).length;
  const times = timesRun(stage, task);
  // Twice only after the first one had ended and somebody knew.
  expect(
    times === 1 || (times === 2 && (heardAll || reported === 1)),
    `${ms} ms: ran ${times} times, reported ${reported}`,
  ).toBe(true);
  const way = stdout.includes("Reattaching") ? "reattached" : reported ? "reported" : times === 1 ? "started" : "again";
  await expectNothingLeft(stage, task, way === "started" ? context.runId : undefined);
  return way;
}

test("a server killed at any moment of a run: the next one delivers all, and the agent ran once", async () => {
  const moments = Array.from({ length: MOMENTS }, (_, i) =>
    i < MOMENTS / 5 ? -Math.random() * 1_500 : (i * 1_200) / MOMENTS + Math.random() * 100,
  );
  const seen: string[] = [];
  for (let i = 0; i < moments.length; i += 4) {
    const some = moments.slice(i, i + 4).map((ms, index) => killedAt(ms, index % 2 === 0));
    seen.push(...(await Promise.all(some)));
  }
  console.log(`killed at ${MOMENTS} moments: ${seen.join(", ")}`);
  expect(seen).toContain("reattached");
});

describe("after a server was killed in mid-run", () => {
  test("a new wake delivers the old output, and then gets a Job of its own in the same session", async () => {
    const task = work();
    await abandon(task, held(task));
    const invocations: { commandArgs?: string[] }[] = [];
    const onMeta = async (meta: object): Promise<void> => void invocations.push(meta);
    const onLog = whenLogged("Reattaching", () => release(stage, task));
    const { result, lines, stdout } = await run(`echo another; ${answer("the second")}`, { ...task, onMeta, onLog });
    expect(result).toMatchObject({ exitCode: 0, summary: "the second" });
    expect(lines.slice(0, 11)).toEqual(STEADY);
    expect(lines.slice(14, 15)).toEqual(["another"]);
    expect(lines).toHaveLength(18);
    expect(stdout.split("Created K8s Job").length - 1).toBe(1);
    expect(invocations.map(({ commandArgs }) => commandArgs)).toEqual([expect.arrayContaining(["--session", "ses_1"])]);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("an end that no result has reported is reported once, and the next Job goes on from its session", async () => {
    const task = work();
    await abandon(task, held(task, "unreported"));
    release(stage, task);
    await over(stage, task);
    const { result, lines, stdout } = await run(`echo another; ${answer("the second")}`, task);
    expect(result).toMatchObject({ exitCode: 0, summary: "the second" });
    expect(lines).toHaveLength(4);
    expect(reports(stdout)).toEqual([expect.stringMatching(/session ses_1, log proven\): it said: unreported/)]);
    await expectNothingLeft(stage, task);
  });

  test("the same run goes on with its own Job, also when that has ended", async () => {
    const task = { ...work(), runId: `same-${process.pid}-${Date.now()}` };
    await abandon(task, held(task));
    release(stage, task);
    await over(stage, task);
    const { result, lines } = await run(held(task), task);
    expect(result).toMatchObject({ exitCode: 0, summary: "steady" });
    expect(lines).toHaveLength(14);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test.each([
    ["without reattaching", (task: Work) => ({ ...task, config: { reattachOrphanedJobs: false } })],
    ["another task", (task: Work) => ({ ...task, context: { issueId: "another" } })],
    ["another session", (task: Work) => ({ ...task, runtime: { sessionId: "ses_9", sessionParams: null } })],
  ])("%s: the old Job is waited for", async (what, change) => {
    const task = work();
    await abandon(task, held(task));
    const onLog = whenLogged("Waiting for concurrent Job(s)", () => release(stage, task));
    const { result, stdout } = await run(answer("after it"), { ...change(task), onLog });
    expect(result).toMatchObject({ exitCode: 0, summary: "after it" });
    expect(stdout).toContain("Waiting for concurrent Job(s)");
    expect(stdout).not.toContain("Reattaching");
    expect(stdout.includes("ended while nobody was listening")).toBe(what !== "another task");
  });

  test("a cancel while the old Job is taken over ends it, and says so when it is gone", async () => {
    const task = work();
    await abandon(task, held(task));
    const cancel = new AbortController();
    const onLog = whenLogged("Reattaching", () => cancel.abort());
    const { result } = await run(answer("never"), {
      ...task,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog,
    });
    expect(result).toMatchObject({
      errorCode: "cancelled",
      resultJson: { executionCancellation: { state: "acknowledged" } },
    });
    await expectNothingLeft(stage, task);
  });

  test("SIGTERM leaves everything to the next server", async () => {
    const task = work();
    await abandon(task, held(task), "SIGTERM");
    const onLog = whenLogged("Reattaching", () => release(stage, task));
    const { result, lines } = await run(held(task), { ...task, onLog });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(lines).toHaveLength(14);
    expect(timesRun(stage, task)).toBe(1);
  });
});

test("a Job that is kept is not reported again and again", async () => {
  const task = { ...work(), config: { retainJobs: true } };
  await run(answer("kept"), task);
  const { stdout } = await run(answer("second"), task);
  expect(stdout).not.toContain("ended while nobody was listening");
  expect(stdout).not.toContain("Reattaching");
});

test("a Job that its server followed to the end is not reported again, though its successor died", async () => {
  const task = work();
  const first = run(held(task, "followed"), task);
  await expect.poll(() => timesRun(stage, task)).toBe(1);
  const successor = serve(contextOf(held(task), task));
  await successor.said("line 2");
  successor.child.kill("SIGKILL");
  await successor.ended;
  release(stage, task);
  const { result, stdout } = await first;
  expect(result).toMatchObject({ exitCode: 0, summary: "followed" });
  expect(stdout).toContain("cleaning up is left to it");
  const next = await run(answer("the second"), task);
  expect(next.result).toMatchObject({ exitCode: 0, summary: "the second", usage: { inputTokens: 10 } });
  expect(reports(next.stdout)).toEqual([]);
});

test("a server that is done after its successor has cleaned up reports nothing again", async () => {
  const task = work();
  const program = held(task, "followed");
  // It has read the answer, and stands still before it takes it in.
  const first = serve(contextOf(program, task), { stopsAt: '"type":"text"' });
  await first.said("line 10");
  const successor = serve(contextOf(program, task));
  await successor.said("line 10");
  release(stage, task);
  await first.said('"type":"text"');
  const ofSuccessor = await successor.ended;
  first.child.kill("SIGCONT");
  const results = [(await first.ended)!.result, ofSuccessor!.result];
  expect(results.map(({ summary }) => summary)).toEqual(["followed", "followed"]);
  expect(results.map(({ usage }) => usage?.inputTokens)).toEqual([0, 10]);
  await expectNothingLeft(stage, task);
});

test.skipIf(isRealCluster)(
  "an agent that failed by itself, a sidecar that keeps its Job until the deadline: no timeout for who takes over",
  async () => {
    await stage.local.fault({ kind: "sidecar" });
    // The deadline is further away than the test takes: that its coming changes nothing is for a stopped clock.
    const task = { ...work(), config: { timeoutSec: 900 } };
    const { wait, open } = gate(stage);
    const program = `echo "line 2"; ${wait}; exit 3`;
    await abandon(task, program);
    const { result } = await run(program, { ...task, onLog: whenLogged("Reattaching", open) });
    expect(result, JSON.stringify(result)).toMatchObject({ timedOut: false, exitCode: 3 });
    await stage.local.clearFaults();
  },
);

test("two servers at once never run two Jobs of one agent", async () => {
  const task = work();
  const lock = `/paperclip/test-bin/lock-${task.agent.id}`;
  const guarded = `mkdir ${lock} || exit 9; sleep 0.2; rmdir ${lock}; ${answer("alone")}`;
  const servers = Array.from({ length: 4 }, (_, i) =>
    serve(contextOf(guarded, { ...task, context: { issueId: `task-${i}` } })),
  );
  const ends = await Promise.all(servers.map(({ ended }) => ended));
  expect(ends.map((end) => end?.result.errorMessage)).toEqual([null, null, null, null]);
  await expectNothingLeft(stage, task);
});
