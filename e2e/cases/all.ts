/** The cases in their order: what takes long begins first, and goes on beside the others. */
import type { Host } from "../host/host.js";
import { Company } from "../paperclip/company.js";
import { Pictures } from "../pictures.js";
import { Stage } from "../stage.js";
import type { Table } from "../table.js";
import { cancel } from "./cancel.js";
import { companyNamespace } from "./company-namespace.js";
import { crowd } from "./crowd.js";
import { afterTheCrash, crash } from "./crash.js";
import { environment } from "./environment.js";
import { failures } from "./failures.js";
import { github } from "./github.js";
import { hostFeatures } from "./host-features.js";
import { inherited } from "./inherited.js";
import { installed } from "./installed.js";
import { leftovers } from "./leftovers.js";
import { output } from "./output.js";
import { podShape } from "./pod-shape.js";
import { anotherServer, databaseAway, restart } from "./restart.js";
import { success } from "./success.js";
import { tools } from "./tools.js";

/** Plays all cases, or those that the options name. */
export async function runCases(host: Host, adapter: { name: string; version: string }, table: Table): Promise<void> {
  const company = await Company.create(host.api, host.options);
  const pictures = await Pictures.open(host.options, host.api, company.id);
  const { options, cluster, server, kubectl, gitHub, root } = host;
  const stage = new Stage(options, table, cluster, company, server, pictures, kubectl, gitHub, root);
  const play = async (name: string, part: () => Promise<void>): Promise<void> => {
    if (host.options.only.length === 0 || host.options.only.includes(name)) await part();
  };
  await installed(stage, adapter);
  await play("environment", () => environment(stage));
  let afterwards = Promise.resolve();
  await play("crash", async () => {
    const crashed = await crash(stage);
    // Paperclip takes minutes to see it; the agent that works on must be asked for before it is done.
    if (crashed) afterwards = afterTheCrash(stage, crashed);
  });
  await play("success", () => success(stage));
  await play("output", () => output(stage));
  await play("failures", () => failures(stage));
  await play("cancel", () => cancel(stage));
  await play("pod", () => podShape(stage));
  await play("inherited", () => inherited(stage));
  await play("tools", () => tools(stage));
  await play("github", () => github(stage));
  await play("host", () => hostFeatures(stage));
  await play("company", () => companyNamespace(stage));
  await play("crowd", () => crowd(stage));
  await afterwards;
  // Nobody else works: it would be interrupted as well.
  await play("restart", () => restart(stage));
  await play("replica", () => anotherServer(stage));
  await play("database", () => databaseAway(stage));
  await leftovers(stage);
}
