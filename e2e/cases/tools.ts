/** What Paperclip offers its agents: MCP servers, and the page of costs with the namespace's quotas. */
import { describe, type Stage } from "../stage.js";
import { until } from "../wait.js";

/** Paperclip itself has an MCP server for each run of an issue: a real one, over its own API. */
export async function tools(stage: Stage): Promise<void> {
  const worker = await stage.company.putToWork("Toolsmith", "calls-mcp");
  await stage.check("the token of an MCP server", "in the run's Secret, and in neither Job nor pod", async () => {
    const objects = await until("the pod", 60, async () => {
      const pods = await stage.cluster.ours("pods", worker);
      return pods.length > 0 ? [...pods, ...(await stage.cluster.ours("jobs", worker))] : null;
    });
    const isShown = /Bearer |Authorization/.test(JSON.stringify(objects));
    return { seen: isShown ? "shown" : `not in ${objects.length} objects`, ok: !isShown };
  });
  await stage.check(
    "an MCP server of Paperclip's",
    "opencode lists it and calls it, and its answer is in the log",
    async () => {
      const { run, stdout } = await stage.ended(worker.runId);
      const used = stdout.split("\n").filter((line) => line.includes('"tool_use"') && line.includes("list_projects"));
      const hasAnswer = used.some((line) => line.includes('"completed"') && line.includes('\\"projects\\"'));
      const answer = used[0]?.match(/"(?:output|error)":.{0,150}/)?.[0] ?? stdout.match(/no such tool[^"]*/)?.[0];
      const seen = `${describe(run)}; ${used.length} calls; ${answer}`;
      return { seen, ok: run.status === "succeeded" && hasAnswer };
    },
  );
  if (!stage.server) return;
  await stage.check(
    "the namespace's quota on the page of costs",
    "count/configmaps with what is used of it",
    async () => {
      const quotas = await stage.company.quotas();
      const shown = quotas?.windows.map(({ label, valueLabel }) => `${label} ${valueLabel}`).join("; ");
      return { seen: shown || (quotas?.error ?? "nothing"), ok: /count\/configmaps \d+ of 500/.test(shown ?? "") };
    },
  );
}
