/** What dead servers left on the volume is removed when its Job is gone and its time is over; nothing else is. */
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { type Server, serve } from "./server.js";
import { answer, contextOf, filesLeft, giveAway, isRealCluster, useStage } from "./stage.js";

const stage = useStage();

const OWN = { id: "agent-sweep", companyId: "company-sweep", name: "Sweep" };
const DAY = 24 * 60;

/** Leaves the files of a run as a server that died so many minutes ago. */
function leave(
  run: string,
  minutes: number,
  cluster: string,
  { namespace = "paperclip", agent = "agent-sweep", keep }: { namespace?: string; agent?: string; keep?: number } = {},
): void {
  const folder = join(stage.dataRoot, "instances/default/run-logs/company-sweep", agent);
  mkdirSync(folder, { recursive: true });
  const started = JSON.stringify({ v: 1, run, pod: "p", podUid: "u", namespace, cluster, keep });
  for (const [end, text] of [
    ["started", started],
    ["ndjson", "{}\n"],
    ["stderr.log", ""],
    ["end.json", "{}"],
    ["nonce", "n"],
  ]) {
    const path = join(folder, `${run}.pod.${end}`);
    writeFileSync(path, text!);
    utimesSync(path, Date.now() / 1000 - minutes * 60, Date.now() / 1000 - minutes * 60);
    giveAway(path);
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
  const foreign = ["foreign-cluster", "foreign-namespace", "unknown-cluster"];
  leave("gone", 30, uid);
  leave("long-gone", 120, uid);
  leave("foreign-cluster", 120, "another-uid");
  leave("foreign-namespace", 120, uid, { namespace: "elsewhere" });
  leave("unknown-cluster", 120, "");
  const sweeps = (logRetentionSec: number): Server =>
    serve(contextOf(answer("done"), { agent: OWN, config: { logRetentionSec } }), { stays: true });
  const first = sweeps(3_600);
  await first.ended;
  await expect.poll(runsLeft).toEqual([...foreign.slice(0, 2), "gone", ...foreign.slice(2)]);
  first.child.kill();
  const second = sweeps(60);
  await second.ended;
  await expect.poll(runsLeft).toEqual(foreign);
  second.child.kill();
});

test.skipIf(isRealCluster)("another agent's time decides about its own files only", async () => {
  const uid = (await stage.local.get("namespaces", "paperclip")).metadata.uid;
  const of = (agent: string, days?: number) => ({ agent, ...(days === undefined ? {} : { keep: days * DAY * 60 }) });
  leave("own", 120, uid);
  leave("younger-than-usual", 6 * DAY, uid, of("agent-b"));
  leave("older-than-usual", 8 * DAY, uid, of("agent-b"));
  leave("to-be-kept", 20 * DAY, uid, of("agent-c", 30));
  leave("kept-long-enough", 40 * DAY, uid, of("agent-c", 30));
  const before = runsLeft();
  const server = serve(contextOf(answer("done"), { agent: OWN, config: { logRetentionSec: 3_600 } }), { stays: true });
  await server.ended;
  const gone = ["own", "older-than-usual", "kept-long-enough"];
  await expect.poll(runsLeft).toEqual(before.filter((run) => !gone.includes(run)));
  server.child.kill();
});
