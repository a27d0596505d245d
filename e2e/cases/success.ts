/** A run that succeeds, all that Paperclip then has of it, and the next run of the same session. */
import { existsSync } from "node:fs";
import { join } from "node:path";

import type { Worker } from "../paperclip/company.js";
import { readEvents } from "../paperclip/run.js";
import { answerOf } from "../provider/scripts.js";
import { describe, type EndedRun, type Stage, usageOf } from "../stage.js";
import { parser } from "./parser.js";

/** Plays both runs. */
export async function success(stage: Stage): Promise<void> {
  const worker = await stage.company.putToWork("Ada", "works");
  let first: EndedRun | undefined;
  await stage.check("a run", "succeeded, exit 0", async () => {
    first = await stage.ended(worker.runId);
    return { seen: describe(first.run), ok: first.run.status === "succeeded" && first.run.exitCode === 0 };
  });
  if (!first) return;
  await stage.pictures.take("success", worker);
  await stage.pictures.take("settings", { agentId: worker.agentId });
  await recorded(stage, first);
  await worked(stage, first, worker);
  await parser(stage, first);
  const runId = await stage.company.wake(worker);
  await resumed(stage, first, runId);
}

async function recorded(stage: Stage, { run, stdout, stderr }: EndedRun): Promise<void> {
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  await stage.check("its log", "three steps as whole JSON lines, the answer among them", () => {
    const events = lines.map((line) => JSON.parse(line) as { type: string });
    const steps = events.filter(({ type }) => type === "step_finish").length;
    return {
      seen: `${lines.length} lines, ${steps} steps, stderr ${stderr.length} characters`,
      ok: steps === 3 && stdout.includes(answerOf(1)),
    };
  });
  await stage.check("its events", "the Job's name, the pod's node, a proven log", async () => {
    const events = await readEvents(stage.company.api, run.id);
    const seen = events.map(({ eventType, message }) => `${eventType}: ${message}`).join("; ");
    return { seen, ok: [/agent-opencode-/, /node/, /proven/].every((wanted) => wanted.test(seen)) };
  });
  await stage.check("its usage", "2000 in, 500 cached, 120 out", () => {
    const seen = usageOf(run);
    return { seen, ok: seen === "2000 in, 500 cached, 120 out" };
  });
  await stage.check("its cost", "0.00795 dollars", () => {
    const cost = Number(run.usageJson?.["costUsd"]);
    return { seen: `${cost} dollars`, ok: Math.abs(cost - 0.00795) < 1e-6 };
  });
  await stage.check("its session", "an opencode session", () => {
    const seen = run.sessionIdAfter ?? "none";
    return { seen, ok: seen.startsWith("ses_") };
  });
  await stage.check("its summary", answerOf(1), () => {
    const seen = String(run.resultJson?.["summary"] ?? run.resultJson?.["result"] ?? "none");
    return { seen, ok: seen === answerOf(1) };
  });
}

async function worked(stage: Stage, { run, stdout }: EndedRun, { issueId }: Worker): Promise<void> {
  await stage.check("the agent reached Paperclip from its pod", "issue done", async () => {
    const issue = await stage.company.api.get<{ status: string }>(`/api/issues/${issueId}`);
    const why = issue.status === "done" ? "" : (/"output":"((?:no way to|HTTP) [^"]*)/.exec(stdout)?.[1] ?? "");
    return { seen: `issue ${issue.status} ${why}`, ok: issue.status === "done" };
  });
  await stage.check("the agent worked in the workspace that Paperclip gave it", "its file is there", () => {
    const file = join(run.contextSnapshot?.paperclipWorkspace?.cwd ?? "unknown", "e2e-note.txt");
    const isThere = existsSync(file);
    return { seen: `${file} ${isThere ? "is there" : "is missing"}`, ok: isThere };
  });
}

async function resumed(stage: Stage, first: EndedRun, runId: string): Promise<void> {
  await stage.check("a second run resumes the session", `the same session, ${answerOf(2)}`, async () => {
    const { run, stdout } = await stage.ended(runId);
    const hasAnswer = stdout.includes(answerOf(2));
    const isSame = run.sessionIdAfter === first.run.sessionIdAfter;
    const session = isSame ? "the same session" : `session ${run.sessionIdAfter}`;
    const seen = `${describe(run)}, ${session}, answer ${hasAnswer ? "of turn 2" : "missing"}`;
    return { seen, ok: run.status === "succeeded" && isSame && hasAnswer };
  });
}
