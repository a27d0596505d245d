/** What dead servers left on the volume is removed when its Job is gone and its time is over; nothing else is. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { serve } from "./server.js";
import { answer, contextOf, filesLeft, giveAway, isRealCluster, openStage, type Stage } from "./stage.js";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

/** Leaves the files of a run as a dead server does. */
function leave(run: string, cluster: string, namespace = "paperclip"): void {
  const folder = join(stage.dataRoot, "instances/default/run-logs/company-sweep/agent-sweep");
  mkdirSync(folder, { recursive: true });
  const started = JSON.stringify({ v: 1, run, pod: "p", podUid: "u", namespace, cluster });
  for (const [end, text] of [
    ["started", started],
    ["ndjson", "{}\n"],
    ["stderr.log", ""],
    ["end.json", "{}"],
    ["nonce", "n"],
  ]) {
    writeFileSync(join(folder, `${run}.pod.${end}`), text!);
    giveAway(join(folder, `${run}.pod.${end}`));
  }
}

const runsLeft = (): string[] =>
  [
    ...new Set(
      filesLeft(stage)
        .filter((name) => name.includes("sweep"))
        .map((name) => name.replace(/.*\//, "").replace(/\.pod\..*/, "")),
    ),
  ].sort();

test.skipIf(isRealCluster)("after the first run, once, and only what is ours, old and without a Job", async () => {
  const uid = (await stage.local.get("namespaces", "paperclip")).metadata.uid;
  leave("gone", uid);
  leave("foreign-cluster", "another-uid");
  leave("foreign-namespace", uid, "elsewhere");
  leave("unknown-cluster", "");
  const young = contextOf(answer("first"), { config: { logRetentionSec: 3_600 } });
  const first = serve(young, { stays: true });
  await first.ended;
  await new Promise((resolve) => setTimeout(resolve, 500));
  first.child.kill();
  expect(runsLeft()).toEqual(["foreign-cluster", "foreign-namespace", "gone", "unknown-cluster"]);
  const server = serve(contextOf(`sleep 1; ${answer("second")}`, { config: { logRetentionSec: 1 } }), { stays: true });
  await server.ended;
  await expect.poll(runsLeft).toEqual(["foreign-cluster", "foreign-namespace", "unknown-cluster"]);
  server.child.kill();
});
