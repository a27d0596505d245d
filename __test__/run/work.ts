/** Agents with a task of their own that count how often they ran, for the suites in which servers die or meet. */
import { createHash, createHmac } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { expect } from "vitest";

import { serve } from "./server.js";
import { answer, contextOf, filesLeft, isRealCluster, recordOf, run, type Stage } from "./stage.js";

let agents = 0;

export interface Work {
  agent: { id: string; companyId: string; name: string };
  context: { issueId: string };
}

/** An agent with a task of its own. */
export function work(): Work {
  const id = `restart-${process.pid}-${Date.now()}-${agents++}`;
  return { agent: { id, companyId: "company-1", name: "Ada" }, context: { issueId: `task-${id}` } };
}

/** How often the agent of this task ran. */
export function timesRun(stage: Stage, { agent }: Work): number {
  const mark = join(stage.dataRoot, "test-bin", `ran-${agent.id}`);
  return existsSync(mark) ? readFileSync(mark, "utf8").split("\n").length - 1 : 0;
}

const goes = (task: Work): string => `go-${task.agent.id}`;
/** Counts itself, prints eleven lines over a good second, does something, and answers. */
const counted = (task: Work, text: string, last: string): string =>
  [
    `echo x >>/paperclip/test-bin/ran-${task.agent.id}`,
    `for i in 0 1 2 3 4 5 6 7 8 9 10; do echo "line $i"; sleep 0.1; done`,
    `${last}${answer(text)}`,
  ].join("; ");

/** What makes an agent of this task wait for {@link release}. */
export const untilReleased = (task: Work): string =>
  `while [ ! -e /paperclip/test-bin/${goes(task)} ]; do sleep 0.1; done; `;
/** Counts itself, prints eleven lines and answers, in its own time. */
export const steady = (task: Work, text = "steady"): string => counted(task, text, "");
/** The same, but it is at work until it is released. */
export const held = (task: Work, text = "steady"): string => counted(task, text, untilReleased(task));
/** Lets the agents of this task come to their end, now and from now on. */
export const release = (stage: Stage, task: Work): void =>
  writeFileSync(join(stage.dataRoot, "test-bin", goes(task)), "");
export const STEADY = Array.from({ length: 11 }, (_, i) => `line ${i}`);

/** Nothing of this agent's runs is left, but for the empty logs of a run whose server died before it had a Job. */
export async function expectNothingLeft(stage: Stage, { agent }: Work, runWithoutJob?: string): Promise<void> {
  const logs = join(stage.dataRoot, "instances/default/run-logs");
  // Another server may be about to start that run: only a sweep, a day later, knows that nobody will.
  const isEmptyLog = (name: string): boolean =>
    [".pod.ndjson", ".pod.stderr.log"].some((end) => name.endsWith(`/${runWithoutJob}${end}`)) &&
    statSync(join(logs, name)).size === 0;
  const ofAgent = filesLeft(stage).filter((name) => name.includes(agent.id));
  expect(ofAgent.filter((name) => !isEmptyLog(name))).toEqual([]);
  if (isRealCluster) return;
  const left = async (resource: string): Promise<string[]> =>
    (await stage.local.list(resource, { labelSelector: `paperclip.io/agent-id=${agent.id}` })).map(
      ({ metadata }) => metadata.name,
    );
  expect(await left("jobs")).toEqual([]);
  expect(await left("secrets")).toEqual([]);
}

/** A real cluster's own view is not asked for in a test: what it does within this time after an end is done. */
const REAL_CLUSTER_MS = 15_000;

/** Waits until the Job of the task has ended, and is gone where it has a short TTL. */
export async function over(stage: Stage, { agent }: Work, isGone = false): Promise<void> {
  await recordOf(stage, agent.id);
  if (isRealCluster) return new Promise((resolve) => setTimeout(resolve, REAL_CLUSTER_MS));
  const query = { labelSelector: `paperclip.io/agent-id=${agent.id}` };
  const on = async (): Promise<unknown[]> => {
    const jobs = await stage.local.list("jobs", query);
    return isGone
      ? [...jobs, ...(await stage.local.list("pods", query))]
      : jobs.filter(({ status }) => !status?.conditions);
  };
  await expect.poll(on).toEqual([]);
}

/** Starts a program that waits for its release on a server that is killed while the agent works. */
export async function abandon(task: object, program: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  const server = serve(contextOf(program, task));
  await server.said("line 2");
  server.child.kill(signal);
  await server.ended;
}

/** Status lines about earlier runs whose end no result has reported. */
export const reports = (stdout: string): string[] =>
  stdout.split("\n").filter((line) => line.includes("ended while nobody was listening"));

const SEAL = "paperclip-opencode-k8s-seal";

/** What a server writes as nonce when it lets a run start: whoever has the key of the namespace can tell. */
export async function sealedNonce(
  stage: Stage,
  start: { companyId: string; id: string; run: string; task: string; cwd: string },
): Promise<string> {
  const secrets = await stage.local.objects("secrets");
  const known = secrets.find(({ metadata }) => metadata.name === SEAL) ?? (await makeKey(stage));
  const text = Buffer.from((known as unknown as { data: { key: string } }).data.key, "base64").toString();
  const word = `${"0".repeat(32)}.${Math.floor(Date.now() / 1000)}`;
  const mac = createHmac("sha256", createHash("sha256").update(text).digest()).update("start");
  for (const fact of [start.companyId, start.id, start.run, start.task, start.cwd, word]) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(Buffer.byteLength(fact)));
    mac.update(length).update(fact);
  }
  return `${word}.${mac.digest("hex")}`;
}

/** A run makes the key where there is none. */
async function makeKey(stage: Stage): Promise<object> {
  await run(answer("makes the key"));
  return (await stage.local.objects("secrets")).find(({ metadata }) => metadata.name === SEAL)!;
}
