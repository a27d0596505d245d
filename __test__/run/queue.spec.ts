/**
 * Jobs in a queue. Kueue itself is not here: the stand-in suspends Jobs as its webhook does, and the tests admit and
 * evict them as its controller does, by `spec.suspend`.
 */
import { describe, expect, test } from "vitest";

import { serve } from "./server.js";
import { answer, contextOf, countAroundEachTest, isRealCluster, run, useStage, whenLogged } from "./stage.js";
import { expectNothingLeft, held, release, steady, timesRun, type Work, work } from "./work.js";

const IS_QUEUED = "is suspended: it waits in its queue";

describe.skipIf(isRealCluster)("a Job that its queue holds back", () => {
  const stage = useStage();
  countAroundEachTest(stage);

  const config = { queueName: "agents", scheduleTimeoutSec: 1 };
  const suspendNewJobs = (): Promise<unknown> => stage.local.fault({ kind: "suspend-jobs" });

  /** What the queue's controller does with the only Job that there is. */
  async function suspend(isSuspended: boolean): Promise<void> {
    const [job] = await stage.local.objects("jobs");
    await stage.local.patch("jobs", job!.metadata.name, { spec: { suspend: isSuspended } });
  }
  const admit = () => suspend(false);
  const evict = () => suspend(true);

  test("is waited for without a clock, and says so", async () => {
    await suspendNewJobs();
    const progress: string[] = [];
    const onRuntimeProgress = async ({ message }: { message?: string }) => void progress.push(message ?? "");
    const running = run(answer("admitted"), { config, onRuntimeProgress });
    const [job] = await stage.local.waitFor("jobs", (jobs) => jobs.length > 0);
    expect(job!.metadata.labels?.["kueue.x-k8s.io/queue-name"]).toBe("agents");
    await expect.poll(() => progress.join("\n"), { timeout: 20_000 }).toContain("Queued in agents");
    // Longer than the limit that a Job without a queue would have had.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await admit();
    const { result, stdout } = await running;
    expect(result).toMatchObject({ exitCode: 0, errorMessage: null, summary: "admitted" });
    expect(stdout).toContain(IS_QUEUED);
    expect(stdout).toContain("is admitted");
  });

  test("survives a restart of the server", async () => {
    await suspendNewJobs();
    const task = work();
    const program = steady(task);
    const first = serve({ ...contextOf(program, { ...task, config }) });
    await first.said(IS_QUEUED);
    first.child.kill("SIGKILL");
    await first.ended;
    const [before] = await stage.local.objects("jobs");
    const { result, stdout } = await run(program, { ...task, config, onLog: whenLogged(IS_QUEUED, admit) });
    expect(result).toMatchObject({ exitCode: 0, errorMessage: null, resultJson: { log: { proof: "proven" } } });
    expect(stdout).toContain(`Reattaching to orphaned Job ${before!.metadata.name}`);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("is waited for by another task of its agent, which says why", async () => {
    await suspendNewJobs();
    const task = work();
    const other: Work = { agent: task.agent, context: { issueId: `${task.context.issueId}-2` } };
    const first = serve(contextOf(steady(task), { ...task, config }));
    await first.said(IS_QUEUED);
    const second = run(answer("second"), {
      ...other,
      onLog: whenLogged("(waits in a queue)", admit),
    });
    const [one, two] = await Promise.all([first.ended, second]);
    expect([one?.result.errorMessage, two.result.errorMessage]).toEqual([null, null]);
    expect(two.stdout).toMatch(/Waiting for concurrent Job\(s\) to finish before starting: \S+ \(waits in a queue\)/);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("goes on when it was evicted before its agent has started", async () => {
    await suspendNewJobs();
    await stage.local.fault({ kind: "unschedulable" });
    const task = work();
    const said: string[] = [];
    const evictOnce = whenLogged("is admitted", async () => {
      await stage.local.waitFor("pods", (pods) => pods.some(({ metadata }) => metadata.name.includes("restart-")));
      await evict();
    });
    const onLog = async (stream: string, chunk: string): Promise<void> => {
      said.push(chunk);
      await evictOnce(stream, chunk);
    };
    const running = run(steady(task), { ...task, config: { ...config, scheduleTimeoutSec: 60 }, onLog });
    const timesQueued = (): number => said.join("").split(IS_QUEUED).length - 1;
    await expect.poll(timesQueued, { timeout: 20_000 }).toBe(1);
    await admit();
    await expect.poll(timesQueued, { timeout: 20_000 }).toBe(2);
    await stage.local.clearFaults();
    await admit();
    const { result } = await running;
    expect(result).toMatchObject({ exitCode: 0, errorMessage: null });
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("that is preempted at work says so, and its agent is not started again", async () => {
    const task = work();
    const { result } = await run(held(task), { ...task, config, onLog: whenLogged("line 3", evict) });
    expect(result.errorMessage).toMatch(/preempted/i);
    // Whatever the queue does later, nothing is there to be admitted.
    expect(await stage.local.objects("jobs")).toEqual([]);
    expect(timesRun(stage, task)).toBe(1);
    release(stage, task);
    await expectNothingLeft(stage, task);
  });
});
