/** The server is ended in good order while agents work, as a rolling deployment does it, and started again. */
import { setTimeout as sleep } from "node:timers/promises";

import type { Worker } from "../paperclip/company.js";
import { readLog, readRun, runEnded, textOf } from "../paperclip/run.js";
import { answerOf, STEADY, startsOf, stepMark } from "../provider/scripts.js";
import { describe, type Stage, usageOf } from "../stage.js";
import { until } from "../wait.js";

const AGENTS = 3;

/** What a run says whose signal was aborted without a cancel. */
const LEASE_LOST = "lost its lease on this run";

/** What one says whose record has its end then. */
const LEFT = "ended this run without a cancel";

/** Paperclip looks every 10 s whether a run is still its own: 3 s after the signal it finds that it is not. */
const LEASE = { everyMs: 10_000, signalAfterMs: 7_000 };

/** Each agent's Job goes on without a server, and its next run takes it over. */
export async function restart(stage: Stage): Promise<void> {
  const { server } = stage;
  const what = `the server gets SIGTERM while ${AGENTS} agents work`;
  if (!server) return stage.skip(what, "nothing is disturbed", "not made: the server is not ours");
  const names = Array.from({ length: AGENTS }, (_, index) => `Steady ${index + 1}`);
  const workers = await Promise.all(names.map((name) => stage.company.putToWork(name, "works-steadily")));
  let before: string[] = [];
  await stage.check(what, "it is back; Jobs, pods and Secrets are the same, and all agents at work", async () => {
    await Promise.all(workers.map((worker) => atWork(stage, worker)));
    before = await objectsOf(stage, workers);
    const { startedAt } = await readRun(stage.company.api, workers[0]?.runId ?? "");
    const since = (Date.now() - Date.parse(startedAt ?? "")) % LEASE.everyMs;
    await sleep((LEASE.everyMs + LEASE.signalAfterMs - since) % LEASE.everyMs);
    const started = performance.now();
    await server.stop();
    const stopped = performance.now();
    await server.start();
    const after = await objectsOf(stage, workers);
    const seconds = ((stopped - started) / 1000).toFixed(1);
    return {
      seen: `down after ${seconds} s; ${left(before, after)}`,
      ok: before.length === 3 * AGENTS && String(after) === String(before),
    };
  });
  await stage.check("their runs in Paperclip", "interrupted, and their issues wait for a person", async () => {
    const runs = await Promise.all(workers.map(({ runId }) => runEnded(stage.company.api, runId, 60)));
    const blockers = await Promise.all(workers.map((worker) => stage.company.blockerOf(worker)));
    const logs = await Promise.all(workers.map(({ runId }) => readLog(stage.company.api, runId)));
    const gone = logs.filter((log) => textOf(log, "stderr").includes(LEFT)).length;
    const isHeld = blockers.every((blocker, index) => blocker?.runId === workers[index]?.runId);
    const ends = [...new Set(runs.map(describe))].join("; ");
    const seen = `${ends}; ${isHeld ? "all" : "not all"} issues held, ${gone} logs say who goes on`;
    return { seen, ok: isHeld && runs.every(({ errorCode }) => errorCode === "server_shutdown_interrupted") };
  });
  await Promise.all(workers.map((worker, index) => takenOver(stage, worker, names[index] ?? "")));
}

/**
 * What another server of the same database does to runs of this one: it cancels one, and takes one for lost. Both come
 * as a lost lease. Its words are written into the database as it would write them.
 */
export async function anotherServer(stage: Stage): Promise<void> {
  const { server } = stage;
  const what = "another server cancels a run of this one";
  if (!server) return stage.skip(what, "its Job is gone", "not made: the server is not ours");
  const names = ["Cancelled elsewhere", "Lost elsewhere"];
  const workers = await Promise.all(names.map((name) => stage.company.putToWork(name, "works-steadily")));
  const [cancelled, lost] = workers as [Worker, Worker];
  await Promise.all(workers.map((worker) => atWork(stage, worker)));
  const database = server.database();
  try {
    await database.set("heartbeat_runs", cancelled.runId, "status", "cancelled");
    await database.set("heartbeat_runs", lost.runId, "status", "failed");
  } finally {
    await database.close();
  }
  await stage.check(what, "its Job is gone", async () => {
    const isGone = async (): Promise<boolean> => (await stage.cluster.ours("jobs", cancelled)).length === 0;
    await until("the end of its Job", 60, isGone);
    return { seen: "gone", ok: true };
  });
  await stage.check("another server takes a run of this one for lost", "its Job stays; its log says so", async () => {
    await until("its word", 30, async () =>
      textOf(await readLog(stage.company.api, lost.runId), "stderr").includes(LEFT),
    );
    const jobs = await stage.cluster.ours("jobs", lost);
    return { seen: `${jobs.length} Job, said`, ok: jobs.length === 1 };
  });
  await stage.company.dismiss(cancelled);
  await takenOver(stage, lost, names[1] ?? "");
}

/** So long that the host has lost its lease on the run, and said so. */
const DATABASE_AWAY_SECONDS = 75;

/** An agent whose host cannot reach its database works on, and its run ends with its result. */
export async function databaseAway(stage: Stage): Promise<void> {
  const { server } = stage;
  const what = `the server's database hangs for ${DATABASE_AWAY_SECONDS} s while two agents work`;
  if (!server) return stage.skip(what, "nothing is disturbed", "not made: the server is not ours");
  const names = ["Patient", "Unwanted"];
  const workers = await Promise.all(names.map((name) => stage.company.putToWork(name, "works-steadily")));
  const [patient, unwanted] = workers as [Worker, Worker];
  await stage.check(what, "their runs say that it is no cancel; Jobs, pods and Secrets are the same", async () => {
    await Promise.all(workers.map((worker) => atWork(stage, worker)));
    const before = await objectsOf(stage, workers);
    await server.holdDatabase(DATABASE_AWAY_SECONDS);
    await Promise.all(workers.map((worker) => saysLeaseLost(stage, worker)));
    const after = await objectsOf(stage, workers);
    return { seen: `said; ${left(before, after)}`, ok: String(after) === String(before) };
  });
  await stage.check("the cancel of one of them afterwards", "HTTP 200, its Job is gone", async () => {
    const { status } = await stage.company.api.post<{ status: string }>(`/api/heartbeat-runs/${unwanted.runId}/cancel`);
    const jobs = await stage.cluster.ours("jobs", unwanted);
    const { run } = await stage.ended(unwanted.runId);
    return { seen: `HTTP 200, ${status}, ${jobs.length} Jobs; ${describe(run)}`, ok: jobs.length === 0 };
  });
  await stage.check("the end of the other", "all output, usage and session; called cancelled, and why", async () => {
    const { run, stdout } = await stage.ended(patient.runId, 600);
    const isWhole = stdout.includes(startsOf(1)) && stdout.includes(answerOf(1));
    const isKept = run.usageJson !== null && run.sessionIdAfter !== null;
    const seen = `${describe(run)}; ${isWhole ? "all output" : "output is missing"}; ${usageOf(run)}`;
    const isSaid = run.status === "cancelled" && run.error?.startsWith("Not cancelled: ") === true;
    return { seen, ok: isWhole && isKept && isSaid };
  });
  for (const worker of workers) await stage.company.dismiss(worker);
}

async function saysLeaseLost(stage: Stage, { runId }: Worker): Promise<void> {
  await until("its word on the lease", 60, async () =>
    textOf(await readLog(stage.company.api, runId), "stderr").includes(LEASE_LOST),
  );
}

function left(before: string[], after: string[]): string {
  return `${after.filter((one) => before.includes(one)).length} of ${before.length} left`;
}

async function atWork(stage: Stage, { runId }: Worker): Promise<void> {
  await until("the first step", 180, async () =>
    textOf(await readLog(stage.company.api, runId), "stdout").includes(stepMark(0)),
  );
}

/** By their own ids: a Job that was made again is another one. */
async function objectsOf(stage: Stage, workers: Worker[]): Promise<string[]> {
  const kinds = ["jobs", "pods", "secrets"] as const;
  const lists = await Promise.all(workers.flatMap((worker) => kinds.map((kind) => stage.cluster.ours(kind, worker))));
  return lists
    .flat()
    .map(({ metadata }) => `${metadata.name} ${metadata.uid}`)
    .sort();
}

async function takenOver(stage: Stage, worker: Worker, name: string): Promise<void> {
  await stage.check(
    `${name} is woken again`,
    "its Job is taken over with every step, its agent was started once, its result is told once, no Job is left",
    async () => {
      const { run, stdout } = await stage.ended(await stage.company.wake(worker), 600);
      const steps = Array.from({ length: STEADY.steps }, (_, step) => stepMark(step));
      const done = steps.filter((mark) => stdout.includes(mark)).length;
      const told = stdout.split("\n").filter((line) => line.includes('"text"') && line.includes(answerOf(1))).length;
      const isTakenOver = stdout.includes("[paperclip] Reattaching") && stdout.includes(startsOf(1));
      const jobs = await stage.cluster.ours("jobs", { agentId: worker.agentId });
      const how = `${isTakenOver ? "taken over, 1 start" : "not taken over"}, ${done} of ${steps.length} steps`;
      const seen = `${describe(run)}, ${how}, told ${told} times, ${jobs.length} Jobs left; ${usageOf(run)}`;
      const isAll = isTakenOver && done === steps.length && told === 1 && jobs.length === 0;
      return { seen, ok: run.status === "succeeded" && isAll };
    },
  );
}
