/**
 * A server and its successor that follow one Job at the same time, as in a rolling restart. Whoever took the Job over
 * last cleans up; the other one ends with what it read, and calls nothing lost that it delivered.
 */
import { expect, test } from "vitest";

import { type Server, serve } from "./server.js";
import { answer, contextOf, type Seen, useStage } from "./stage.js";
import { expectNothingLeft, held, release, STEADY, timesRun, type Work, work } from "./work.js";

const stage = useStage();

/** Two servers that both follow the Job of the first, whose agent is still at work. */
async function both(task: Work, secondProgram: (first: string) => string): Promise<[Server, Server]> {
  const program = held(task);
  const first = serve(contextOf(program, task));
  await first.said("line 10");
  const second = serve(contextOf(secondProgram(program), task));
  await second.said("line 10");
  return [first, second];
}

function expectWhole(seen: Seen | undefined): void {
  expect(seen?.result, JSON.stringify(seen?.result)).toMatchObject({
    exitCode: 0,
    errorMessage: null,
    summary: "steady",
    resultJson: { log: { proof: "proven" } },
  });
  expect(seen?.lines.slice(0, 11)).toEqual(STEADY);
  expect(seen?.lines).toHaveLength(14);
}

/** What the agent used (see {@link answer}) is reported by all of them together once. */
function expectReportedOnce(ends: (Seen | undefined)[], times = 1): void {
  const sum = (of: (result: Seen["result"]) => number | null | undefined): number =>
    ends.reduce((all, seen) => all + (of(seen!.result) ?? 0), 0);
  expect(sum((result) => result.usage?.inputTokens)).toBe(10 * times);
  expect(sum((result) => result.costUsd)).toBeCloseTo(0.5 * times);
}

test("both deliver everything, and nothing is left", async () => {
  const task = work();
  const [first, second] = await both(task, (program) => program);
  release(stage, task);
  const ends = await Promise.all([first.ended, second.ended]);
  ends.forEach(expectWhole);
  expectReportedOnce(ends);
  expect(timesRun(stage, task)).toBe(1);
  await expectNothingLeft(stage, task);
});

test("the first one leaves cleaning up to a successor that learns late of the end", async () => {
  const task = work();
  const [first, second] = await both(task, (program) => program);
  second.child.kill("SIGSTOP");
  release(stage, task);
  const early = await first.ended;
  expectWhole(early);
  expect(first.log.map(([, chunk]) => chunk).join("")).toContain("cleaning up is left to it");
  second.child.kill("SIGCONT");
  const late = await second.ended;
  expectWhole(late);
  expectReportedOnce([early, late]);
  expect(timesRun(stage, task)).toBe(1);
  await expectNothingLeft(stage, task);
});

test("the first one learns late of the end, and ends in a named state when its successor has cleaned up", async () => {
  const task = work();
  const [first, second] = await both(task, (program) => program);
  first.child.kill("SIGSTOP");
  release(stage, task);
  const successor = await second.ended;
  expectWhole(successor);
  first.child.kill("SIGCONT");
  const seen = await first.ended;
  const { result } = seen!;
  // With all lines it may be a success, with fewer it must say what is missing.
  if (result.errorMessage === null) expect(seen?.lines).toHaveLength(14);
  else
    expect(result.errorCode, result.errorMessage ?? "").toMatch(
      /^(k8s_log_incomplete|opencode_killed|unknown_outcome)$/,
    );
  expectReportedOnce([seen, successor]);
  await expectNothingLeft(stage, task);
});

test("a new wake beside a living server gets the old output, and then its own Job", async () => {
  const task = work();
  const [first, second] = await both(task, () => `echo another; ${answer("the second")}`);
  release(stage, task);
  const [ofFirst, ofSecond] = await Promise.all([first.ended, second.ended]);
  expectWhole(ofFirst);
  expect(ofSecond?.result).toMatchObject({ exitCode: 0, summary: "the second" });
  expect(ofSecond?.lines.slice(0, 11)).toEqual(STEADY);
  expect(ofSecond?.lines).toHaveLength(18);
  expectReportedOnce([ofFirst, ofSecond], 2);
  expect(timesRun(stage, task)).toBe(1);
  await expectNothingLeft(stage, task);
});
