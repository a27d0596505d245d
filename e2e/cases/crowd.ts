/** Ten agents at once. */
import { answerOf } from "../provider/scripts.js";
import { describe, type Stage } from "../stage.js";

const AGENTS = 10;

/** All are put to work before the first is looked at. */
export async function crowd(stage: Stage): Promise<void> {
  await stage.check(`${AGENTS} agents at once`, `${AGENTS} succeeded, each with its answer`, async () => {
    const names = Array.from({ length: AGENTS }, (_, index) => `Crowd ${index + 1}`);
    const workers = await Promise.all(names.map((name) => stage.company.putToWork(name, "works")));
    const ended = await Promise.all(workers.map(({ runId }) => stage.ended(runId, 600)));
    const good = ended.filter(({ run, stdout }) => run.status === "succeeded" && stdout.includes(answerOf(1)));
    const bad = ended.filter((one) => !good.includes(one)).map(({ run }) => describe(run));
    return { seen: [`${good.length} succeeded`, ...bad].join("; "), ok: good.length === AGENTS };
  });
}
