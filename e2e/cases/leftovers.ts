/** Nothing of the runs stays: no object in the cluster, no log file on the volume, no run in Paperclip. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import type { Stage } from "../stage.js";
import { until } from "../wait.js";

/** Counts what is left of this company's runs. */
export async function leftovers(stage: Stage): Promise<void> {
  const { cluster, company, options } = stage;
  await stage.check("runs that have not ended", "0", async () => {
    const live = await until("the end of all runs", 120, async () =>
      (await company.liveRuns()).length === 0 ? [] : null,
    ).catch(() => company.liveRuns());
    return { seen: `${live.length}`, ok: live.length === 0 };
  });
  for (const kind of ["jobs", "pods", "secrets"] as const) {
    await stage.check(`${kind} of these runs in the cluster`, "0", async () => {
      const ours = () => cluster.ours(kind, { companyId: company.id });
      // The kubelet and the garbage collector remove objects a little after their owner.
      const left = await until("their end", 60, async () => ((await ours()).length === 0 ? [] : null)).catch(ours);
      return { seen: [left.length, ...left.map(({ metadata }) => metadata.name)].join(" "), ok: left.length === 0 };
    });
  }
  await stage.check("log files of these runs on the volume", "0", () => {
    const folder = join(options.dataRoot, "instances/default/run-logs", company.id);
    const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : [];
    const files = names.filter((name) => name.includes(".pod"));
    return { seen: [files.length, ...files].join(" "), ok: files.length === 0 };
  });
  if (options.keep) return;
  // A server of ours goes with all its companies.
  if (!stage.server) {
    await stage.check("the company in Paperclip", "archived", async () => {
      await company.archive();
      return { seen: "archived", ok: true };
    });
  }
  for (const name of ["run-logs", "opencode-db"]) {
    rmSync(join(options.dataRoot, "instances/default", name, company.id), { recursive: true, force: true });
  }
}
