/** What the host asks of an adapter beside runs: approved agents, the thinking effort, times of the parts of a run. */
import type { Company } from "../paperclip/company.js";
import { readEvents } from "../paperclip/run.js";
import { describe, type Stage } from "../stage.js";
import { until } from "../wait.js";

export async function hostFeatures(stage: Stage): Promise<void> {
  const worker = await stage.company.putToWork("Thinker", "works", { effort: "high" });
  await hires(stage);
  await sandbox(stage);
  await stage.check(
    "the page's thinking effort",
    "opencode is asked for this variant, and the run succeeds",
    async () => {
      const { run } = await stage.ended(worker.runId);
      const events = await readEvents(stage.company.api, run.id);
      const args = events.flatMap(({ payload }) => (payload?.["commandArgs"] as string[] | undefined) ?? []);
      const variant = args[args.indexOf("--variant") + 1] ?? "none";
      const isAsked = args.includes("--variant") && variant === "high";
      return { seen: `${describe(run)}; variant ${variant}`, ok: run.status === "succeeded" && isAsked };
    },
  );
  await stage.check("how long the parts of a run took", "four parts, each well", async () => {
    const events = await readEvents(stage.company.api, worker.runId);
    const timings = events.filter(({ eventType }) => eventType === "run.phase.timing");
    const seen = timings.map(
      ({ payload }) => `${payload?.["phase"]} ${payload?.["durationMs"]} ms ${payload?.["outcome"]}`,
    );
    const parts = timings.map(({ payload }) => `${payload?.["phase"]} ${payload?.["outcome"]}`);
    const wanted = ["create_runtime ok", "turn ok", "sync_back ok", "end_session ok"];
    return { seen: seen.join("; "), ok: parts.join() === wanted.join() };
  });
}

/** A company whose board approves each new agent. */
async function hires(stage: Stage): Promise<void> {
  const { company } = stage;
  const [good, bad] = [
    company.agentConfig("works"),
    company.agentConfig("works", { "resources.requests.cpu": "plenty" }),
  ];
  await stage.check("a new agent is approved", "the adapter has tried its settings and rights", async () => {
    const said = await approved(company, "Novice", good);
    return { seen: said.action, ok: said.action === "hire_hook.succeeded" };
  });
  await stage.check("a new agent whose runs would fail", "it is said at once, with the field", async () => {
    const said = await approved(company, "Glutton", bad);
    const seen = `${said.action}: ${said.details?.error ?? ""}`;
    return { seen, ok: said.action === "hire_hook.failed" && seen.includes("resources.requests.cpu") };
  });
}

/**
 * An agent for which the host leases a sandbox. Its API refuses one for this adapter's agents, but not as the default
 * of the whole instance; the provider is the host's own fake one, which it keeps to itself.
 */
async function sandbox(stage: Stage): Promise<void> {
  const { company, server } = stage;
  const what = "a run for which a sandbox was leased";
  if (!server) return stage.skip(what, "said once", "not made: the server's database is not ours");
  const agentId = await company.hire("Boxed", "works");
  const database = server.database();
  try {
    const config = { provider: "fake", image: "sandbox:1", reuseLease: false };
    const environment = await database.insert("environments", { name: "A sandbox", driver: "sandbox", config });
    await database.set("agents", agentId, "default_environment_id", environment);
  } finally {
    await database.close();
  }
  const worker = await company.assign("Boxed", agentId);
  await stage.check(what, "one line says that it is not used, and the agent works in its pod", async () => {
    const { run, stderr } = await stage.ended(worker.runId);
    const said = stderr.split("\n").filter((line) => line.includes("leased an environment"));
    return { seen: `${describe(run)}; ${said.join("; ")}`, ok: run.status === "succeeded" && said.length === 1 };
  });
}

interface Activity {
  action: string;
  entityId: string;
  details: { error?: string } | null;
}

/** Hires an agent, lets the board approve it, and gives what the host's log says of the adapter's answer. */
async function approved({ api, id }: Company, name: string, adapterConfig: object): Promise<Activity> {
  const ask = { name, role: "engineer", adapterType: "opencode_k8s", adapterConfig };
  await api.patch(`/api/companies/${id}`, { requireBoardApprovalForNewAgents: true });
  try {
    const hired = await api.post<{ agent: { id: string }; approval: { id: string } }>(
      `/api/companies/${id}/agent-hires`,
      ask,
    );
    await api.post(`/api/approvals/${hired.approval.id}/approve`, {});
    return await until(`the activity of ${name}`, 60, async () => {
      const all = await api.get<Activity[]>(`/api/companies/${id}/activity?limit=100`);
      return all.find(({ action, entityId }) => action.startsWith("hire_hook.") && entityId === hired.agent.id);
    });
  } finally {
    await api.patch(`/api/companies/${id}`, { requireBoardApprovalForNewAgents: false });
  }
}
