/** The server is killed while two agents work: one is done before it is back, one works until somebody asks for it. */
import { answerOf, LONG, stepMark } from "../provider/scripts.js";
import type { Worker } from "../paperclip/company.js";
import { readLog, runEnded, textOf } from "../paperclip/run.js";
import { describe, type Stage, usageOf } from "../stage.js";
import { until } from "../wait.js";

/** The agents whose server was killed. */
interface Crashed {
  long: Worker;
  short: Worker;
}

/** Kills the server in mid-run and starts it again. */
export async function crash(stage: Stage): Promise<Crashed | null> {
  const { server } = stage;
  if (!server) {
    stage.skip("the server is killed", "nothing is lost", "not made: the server is not ours");
    return null;
  }
  const [long, short] = await Promise.all([
    stage.company.putToWork("Long", "works-long"),
    // Kept long enough to be found: Paperclip calls a run lost five minutes after its server's death.
    stage.company.putToWork("Short", "works-short", { ttlSecondsAfterFinished: 3600 }),
  ]);
  await stage.check("the server is killed with -9 in mid-run", "it is back, with the adapter", async () => {
    for (const { runId } of [long, short]) {
      await until("the first step", 180, async () =>
        textOf(await readLog(stage.company.api, runId), "stdout").includes(stepMark(0)),
      );
    }
    await server.kill();
    await server.start();
    const adapter = await stage.company.api.get<{ loaded?: boolean }>("/api/adapters/opencode_k8s");
    return { seen: `back, adapter loaded: ${adapter.loaded}`, ok: adapter.loaded === true };
  });
  return { long, short };
}

/** Wakes both agents again when Paperclip has given their runs up. */
export async function afterTheCrash(stage: Stage, { long, short }: Crashed): Promise<void> {
  await stage.check("their runs in Paperclip", "process_lost: the server does not look for them itself", async () => {
    const runs = await Promise.all([long, short].map(({ runId }) => runEnded(stage.company.api, runId, 480)));
    return { seen: runs.map(describe).join("; "), ok: runs.every(({ errorCode }) => errorCode === "process_lost") };
  });
  await Promise.all([reattached(stage, long), harvested(stage, short)]);
}

async function reattached(stage: Stage, worker: Worker): Promise<void> {
  await stage.check(
    "a run that was still on is taken over",
    "every step from the first on in the next run's log, which resumes its session",
    async () => {
      const { run, stdout } = await stage.ended(await stage.company.wake(worker), 600);
      const missing = Array.from({ length: LONG.steps }, (_, step) => step).filter(
        (step) => !stdout.includes(stepMark(step)),
      );
      const answers = [1, 2].filter((turn) => stdout.includes(answerOf(turn)));
      const isTakenOver = stdout.includes("[paperclip] Reattaching");
      const how = `${describe(run)}${isTakenOver ? ", reattached" : ""}`;
      const steps = `${LONG.steps - missing.length} of ${LONG.steps} steps`;
      const seen = `${how}, ${steps}, answers of turns ${answers}; ${usageOf(run)}`;
      return { seen, ok: run.status === "succeeded" && isTakenOver && missing.length === 0 && answers.length === 2 };
    },
  );
}

async function harvested(stage: Stage, worker: Worker): Promise<void> {
  await stage.check(
    "a run that ended meanwhile is reported",
    "its answer in the next run's log, which resumes its session",
    async () => {
      const { run, stdout } = await stage.ended(await stage.company.wake(worker), 600);
      const said = stdout.split("\n").find((line) => line.startsWith("[paperclip]") && line.includes(answerOf(1)));
      const resumes = stdout.includes(answerOf(2));
      const session = resumes ? "resumed" : "not resumed";
      const seen = `${describe(run)}; ${said ?? "no word of it"}; ${session}; ${usageOf(run)}`;
      return { seen, ok: run.status === "succeeded" && said !== undefined && resumes };
    },
  );
}
