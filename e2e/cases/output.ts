/** Output that is hard to show: 1 MB of it, bytes that a terminal or a browser would obey, and events as text. */
import { parseLines, readParser } from "./parser.js";
import { answerOf, ESCAPES_AND_HTML, MANY_LINES } from "../provider/scripts.js";
import { describe, type Stage } from "../stage.js";

/** Plays the runs; what the page makes of them is for the pictures. */
export async function output(stage: Stage): Promise<void> {
  await Promise.all([
    prints(stage, "1 MB of output", "prints-much", MANY_LINES.last),
    prints(stage, "escape sequences and HTML in the output", "prints-escapes", ESCAPES_AND_HTML.last),
    asText(stage),
  ]);
}

async function asText(stage: Stage): Promise<void> {
  await stage.check("a run with `transcript: text`", "succeeded, readable lines, no JSON among them", async () => {
    const worker = await stage.company.putToWork("text", "works", { transcript: "text" });
    const { run, stdout } = await stage.ended(worker.runId, 400);
    await stage.company.dismiss(worker);
    await stage.pictures.take("output text", worker);
    const lines = stdout.split("\n").filter(Boolean);
    const events = lines.filter((line) => line.startsWith("{")).length;
    const isShown = lines.includes(answerOf(1));
    const answer = `answer ${isShown ? "there" : "missing"}`;
    const seen = `${describe(run)}, ${lines.length} lines, ${events} of them JSON, ${answer}`;
    return { seen, ok: run.status === "succeeded" && events === 0 && isShown };
  });
}

async function prints(stage: Stage, what: string, model: string, last: string): Promise<void> {
  await stage.check(what, "succeeded, its last line reached Paperclip, and the page's parser reads it", async () => {
    const worker = await stage.company.putToWork(what, model);
    const { run, stdout } = await stage.ended(worker.runId, 400);
    await stage.company.dismiss(worker);
    await stage.pictures.take(`output ${model}`, worker);
    const entries = parseLines((await readParser(stage)).parse, stdout);
    const isShown = entries.some((entry) => JSON.stringify(entry).includes(last));
    const size = `${stdout.length} characters, ${entries.length} entries`;
    const seen = `${describe(run)}, ${size}, last line ${isShown ? "there" : "missing"}`;
    return { seen, ok: run.status === "succeeded" && isShown };
  });
}
