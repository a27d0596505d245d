/** Runs that fail, each with the code and the message that an operator needs. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";

import type { Worker } from "../paperclip/company.js";
import { describe, type Stage } from "../stage.js";

interface Failing {
  what: string;
  model: string;
  config?: Record<string, unknown>;
  code: string;
  message: RegExp;
}

const CASES: Failing[] = [
  {
    what: "the provider answers 401",
    model: "unauthorized",
    code: "provider_auth",
    message: /Incorrect API key provided/,
  },
  {
    what: "the provider answers 500",
    model: "broken",
    code: "provider_unavailable",
    message: /scripted provider is broken/,
  },
  { what: "a wrong model", model: "no-such-model", code: "model_not_found", message: /no-such-model/ },
  {
    what: "a rejected permission",
    model: "reads-outside",
    config: { dangerouslySkipPermissions: false },
    code: "permission_rejected",
    message: /external_directory/,
  },
  {
    what: "an OOM kill",
    model: "works",
    config: { "resources.limits.memory": "192Mi" },
    code: "opencode_killed",
    message: /memory|OOM/i,
  },
];

/** All at once: one of them takes more than a minute, because opencode tries again in silence. */
export async function failures(stage: Stage): Promise<void> {
  await Promise.all([...CASES.map((failing) => fails(stage, failing)), deadSession(stage)]);
}

async function fails(stage: Stage, { what, model, config, code, message }: Failing): Promise<void> {
  await stage.check(what, `failed ${code}: ${message.source}`, async () => {
    const worker = await stage.company.putToWork(what, model, config);
    const { run } = await stage.ended(worker.runId, 400);
    await stage.company.dismiss(worker);
    await stage.pictures.take(`failure ${what}`, worker);
    const ok = run.status === "failed" && run.errorCode === code && message.test(run.error ?? "");
    return { seen: describe(run), ok };
  });
}

/** The task's database is lost between two runs. */
async function deadSession(stage: Stage): Promise<void> {
  let worker: Worker | undefined;
  let ready = false;
  await stage.check("a dead session", "failed session_unavailable, the session is named", async () => {
    worker = await stage.company.putToWork("Dead session", "works");
    const first = await stage.ended(worker.runId, 400);
    const folder = join(stage.options.dataRoot, "instances/default/opencode-db", stage.company.id, worker.agentId);
    if (!existsSync(folder)) return { seen: `${describe(first.run)}; no database in ${folder}`, ok: false };
    rmSync(folder, { recursive: true });
    ready = true;
    const { run } = await stage.ended(await stage.company.wake(worker), 400);
    const session = first.run.sessionIdAfter ?? "none";
    const ok =
      run.status === "failed" && run.errorCode === "session_unavailable" && (run.error ?? "").includes(session);
    return { seen: describe(run), ok };
  });
  await stage.check("the run after a dead session", "succeeded in a new one", async () => {
    if (!worker || !ready) return { seen: "the session was not lost", ok: false };
    const { run } = await stage.ended(await stage.company.wake(worker), 400);
    return { seen: `${describe(run)}, session ${run.sessionIdAfter}`, ok: run.status === "succeeded" };
  });
}
