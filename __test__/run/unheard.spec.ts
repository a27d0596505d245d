/** Jobs that their TTL, or somebody, removed before any server heard their end: told once, never repeated silently. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { answer, filesLeft, isRealCluster, openStage, run, type Stage } from "./stage.js";
import { abandon, expectNothingLeft, STEADY, steady, timesRun, told, type Work, work } from "./work.js";

let stage: Stage;
beforeAll(async () => void (stage = await openStage()));
afterAll(() => stage.close());

const brief = { config: { ttlSecondsAfterFinished: 1 } };
/** Until the agent has ended and the Job is gone with its pod. */
const goneBy = isRealCluster ? 15_000 : 4_000;
const gone = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, goneBy));

/** The Job of this task is gone, and all that is left of its run are its files. */
async function abandonForGood(task: Work, program = steady(task, "unheard of"), more: object = {}): Promise<void> {
  await abandon({ ...task, ...brief, ...more }, program);
  await gone();
  expect(filesLeft(stage).filter((name) => name.includes(task.agent.id))).not.toEqual([]);
}

describe("a Job that is gone, and whose end nobody heard", () => {
  test("is told once, and the next Job goes on from its session", { timeout: 90_000 }, async () => {
    const task = work();
    await abandonForGood(task);
    const invocations: { commandArgs?: string[] }[] = [];
    const onMeta = async (meta: object): Promise<void> => void invocations.push(meta);
    const next = await run(`echo another; ${answer("the second")}`, { ...task, onMeta });
    expect(next.result).toMatchObject({ exitCode: 0, summary: "the second" });
    expect(next.lines).toHaveLength(4);
    expect(told(next.stdout)).toEqual([expect.stringMatching(/session ses_1, log proven\): it said: unheard of/)]);
    expect(invocations.map(({ commandArgs }) => commandArgs)).toEqual([expect.arrayContaining(["--session", "ses_1"])]);
    await expectNothingLeft(stage, task);
    const third = await run(answer("the third"), task);
    expect(told(third.stdout)).toEqual([]);
    expect(timesRun(stage, task)).toBe(1);
  });

  test("of the very same run is its result", { timeout: 90_000 }, async () => {
    const task = { ...work(), runId: `gone-${process.pid}-${Date.now()}` };
    await abandonForGood(task);
    const { result, lines } = await run(steady(task), task);
    expect(result).toMatchObject({ exitCode: 0, summary: "unheard of", resultJson: { log: { proof: "proven" } } });
    expect(lines.slice(0, 11)).toEqual(STEADY);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("says so when it failed, and several are told in their order", { timeout: 120_000 }, async () => {
    const task = work();
    await abandonForGood(task, `for i in 0 1 2 3 4; do echo "line $i"; sleep 0.1; done; echo "no moon" >&2; exit 7`);
    // Another session is no work to go on with: the first end is told to the third run only.
    const kept = filesLeft(stage).filter((name) => name.includes(task.agent.id));
    expect(kept.some((name) => name.endsWith(".pod.started"))).toBe(true);
    const { stdout, result } = await run(answer("went on"), task);
    expect(told(stdout)).toEqual([expect.stringMatching(/log proven\): it failed: .*no moon/)]);
    expect(result).toMatchObject({ exitCode: 0, summary: "went on" });
    await expectNothingLeft(stage, task);
  });

  test("is nothing to another task, and stays for its own", { timeout: 90_000 }, async () => {
    const task = work();
    await abandonForGood(task);
    const other = await run(answer("other"), { ...task, context: { issueId: "another" } });
    expect(told(other.stdout)).toEqual([]);
    const own = await run(answer("own"), task);
    expect(told(own.stdout)).toHaveLength(1);
    await expectNothingLeft(stage, task);
  });

  test("and was made to stay is told once as well", { timeout: 90_000 }, async () => {
    const task = { ...work(), config: { retainJobs: true } };
    await run(answer("kept"), task);
    const kept = filesLeft(stage).filter((name) => name.includes(task.agent.id));
    expect(kept.some((name) => name.endsWith(".pod.ndjson"))).toBe(true);
    if (isRealCluster) return;
    const [job] = await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${task.agent.id}` });
    await stage.local.delete("jobs", job!.metadata.name);
    const { stdout } = await run(answer("second"), task);
    expect(told(stdout), "its end was heard").toEqual([]);
  });
});
