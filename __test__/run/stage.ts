/**
 * A cluster for the suites of whole runs: the local stand-in, or with TEST_KUBECONFIG a real one. The product does not
 * know which. The agent is a shell script on the shared volume that runs its prompt, so any image with `sh` serves.
 *
 * TEST_KUBECONFIG    kubeconfig of the adapter's account
 * TEST_DATA_ROOT     where this machine sees the claim that pods mount at /paperclip (default /paperclip)
 * TEST_OWN_POD       name of the server's pod (default paperclip-0), in the namespace of the kubeconfig's context
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";

import type { AdapterExecutionContext, AdapterExecutionResult } from "@paperclipai/adapter-utils";

import { type LocalCluster, type StartOptions, startLocalCluster } from "../../local-cluster/client.js";
import { adapter, native } from "../boundary/package.js";

/** A cluster and what the adapter needs to know of it. */
export interface Stage {
  /** Only with the stand-in: faults, counts of requests, objects. */
  local: LocalCluster;
  dataRoot: string;
  close(): Promise<void>;
}

export const isRealCluster = Boolean(process.env["TEST_KUBECONFIG"]);

const AGENT = `#!/bin/sh
# An agent for tests: its prompt is a program, which finds itself in $PROMPT_FILE.
# Pods share the folder and the numbers of their processes.
PROMPT_FILE=$(mktemp "$HOME/test-bin/prompt.XXXXXX")
cat >"$PROMPT_FILE"
export PROMPT_FILE
exec sh "$PROMPT_FILE"
`;

/** One stage for a spec file, or for a `describe` of it: open from before its first test until after its last. */
export function useStage(options: StartOptions = {}): Stage {
  const stage = {} as Stage;
  beforeAll(async () => void Object.assign(stage, await openStage(options)));
  afterAll(() => stage.close());
  return stage;
}

/** Which opencode the agent is, as its package says. */
export const AGENT_VERSION = "9.9.9";

/** Starts a cluster, or takes the real one, and puts the agent on its volume. */
async function openStage(options: StartOptions = {}): Promise<Stage> {
  const local = isRealCluster ? undefined : await startLocalCluster(options);
  const dataRoot = local?.dataDir ?? process.env["TEST_DATA_ROOT"] ?? "/paperclip";
  const folder = join(dataRoot, "test-bin");
  // As npm installs opencode: a link to a file of a package.
  const inPackage = join(folder, "package", "bin");
  mkdirSync(inPackage, { recursive: true });
  writeFileSync(join(inPackage, "opencode"), AGENT);
  chmodSync(join(inPackage, "opencode"), 0o755);
  const manifest = JSON.stringify({ name: "opencode-ai", version: AGENT_VERSION }, null, 2);
  writeFileSync(join(folder, "package", "package.json"), manifest);
  rmSync(join(folder, "opencode"), { force: true });
  symlinkSync("package/bin/opencode", join(folder, "opencode"));
  giveAway(folder);
  Object.assign(process.env, environment(local), {
    PAPERCLIP_K8S_DATA_ROOT: dataRoot,
    PAPERCLIP_API_URL: "http://127.0.0.1:9",
  });
  return { local: local as LocalCluster, dataRoot, close: async () => local?.stop() };
}

function environment(local: LocalCluster | undefined): Record<string, string> {
  if (!local)
    return { KUBECONFIG: process.env["TEST_KUBECONFIG"] ?? "", HOSTNAME: process.env["TEST_OWN_POD"] ?? "paperclip-0" };
  const { getuid, getgid } = process;
  // The stand-in's containers run as the user of this process.
  const owner = getuid && getgid && getuid() !== 0 ? { PAPERCLIP_K8S_VOLUME_OWNER: `${getuid()}:${getgid()}` } : {};
  return { ...local.env, ...owner };
}

/** One run as the host sees it. */
export interface Seen {
  result: AdapterExecutionResult;
  log: [stream: string, chunk: string][];
  stdout: string;
  stderr: string;
  /** The agent's own lines. */
  lines: string[];
}

let runs = 0;

/** The context of a run whose agent executes the program. */
export function contextOf(program: string, overrides: Record<string, any> = {}): Record<string, any> {
  const { config, context, ...rest } = overrides;
  return {
    runId: `run-${process.pid}-${Date.now()}-${runs++}`,
    agent: {
      id: `agent-${process.pid}-${runs}`,
      companyId: "company-1",
      name: "Ada",
      adapterType: null,
      adapterConfig: null,
    },
    runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
    config: {
      promptTemplate: program,
      env: { PATH: "/paperclip/test-bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
      resources: { requests: { cpu: "10m", memory: "16Mi" } },
      ...config,
    },
    context: { ...context },
    ...rest,
  };
}

/** The host's callback for a run's lines. */
export type OnLog = (stream: string, chunk: string) => Promise<void> | void;

/** Runs the program as an agent through the public adapter. An `onLog` of the test gets what is noted here. */
export async function run(program: string, overrides: Record<string, any> = {}): Promise<Seen> {
  const log: [string, string][] = [];
  const onLog: OnLog = (stream, chunk) => {
    log.push([stream, chunk]);
    return overrides["onLog"]?.(stream, chunk) ?? Promise.resolve();
  };
  const ctx = { ...contextOf(program, overrides), onLog };
  const result = await adapter.createServerAdapter().execute(ctx as unknown as AdapterExecutionContext);
  return seen(result, log);
}

export function seen(result: AdapterExecutionResult, log: [string, string][]): Seen {
  const text = (stream: string): string =>
    log
      .filter(([kind]) => kind === stream)
      .map(([, chunk]) => chunk)
      .join("");
  const stdout = text("stdout");
  const lines = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("[paperclip] "));
  return { result, log, stdout, stderr: text("stderr"), lines };
}

/**
 * A host's callback that acts once, when all the texts were logged: what is to happen after a line happens after it.
 * The host takes the line when the act is done.
 */
export function whenLogged(texts: string | string[], act: () => unknown): OnLog {
  let logged = "";
  let acted = false;
  return async (_stream, chunk) => {
    logged += chunk;
    if (acted || ![texts].flat().every((text) => logged.includes(text))) return;
    acted = true;
    await act();
  };
}

let gates = 0;

/** A place in a program where the agent waits until the test lets it go on. */
export interface Gate {
  wait: string;
  open(): void;
}

export function gate(stage: Stage): Gate {
  const name = `gate-${process.pid}-${Date.now()}-${gates++}`;
  return {
    wait: `while [ ! -e /paperclip/test-bin/${name} ]; do sleep 0.1; done`,
    open: () => writeFileSync(join(stage.dataRoot, "test-bin", name), ""),
  };
}

/** Waits until the agent has left this file in `test-bin`, and answers what it wrote. */
export async function leftByAgent(stage: Stage, name: string): Promise<string> {
  const path = join(stage.dataRoot, "test-bin", name);
  await expect.poll(() => existsSync(path) && readFileSync(path, "utf8").endsWith("\n")).toBe(true);
  return readFileSync(path, "utf8");
}

/** A program that prints one finished answer, as opencode does. */
export function answer(text: string): string {
  const part = (type: string, more: object) => ({
    type: type.replace("-", "_"),
    timestamp: 1,
    sessionID: "ses_1",
    part: { id: `prt_${type}`, messageID: "msg_1", sessionID: "ses_1", type, ...more },
  });
  const tokens = { total: 12, input: 10, output: 2, reasoning: 0, cache: { read: 0, write: 0 } };
  const events = [
    part("step-start", {}),
    part("text", { text, time: { start: 1, end: 2 } }),
    part("step-finish", { reason: "stop", cost: 0.5, tokens }),
  ];
  return events.map((event) => `printf '%s\\n' ${quote(JSON.stringify(event))}`).join("\n");
}

/** A word of a shell program. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What a process and its cluster hold for runs. Equal before and after each run. */
export async function held(stage: Stage): Promise<Record<string, number>> {
  const inProcess = native.heldResources();
  const files = filesLeft(stage).length;
  if (isRealCluster) return { ...inProcess, files };
  const [jobs, secrets] = await Promise.all([stage.local.objects("jobs"), stage.local.objects("secrets")]);
  // The key of the seal is made once for a namespace, and stays.
  const ofRuns = secrets.filter(({ metadata }) => metadata.name.startsWith("agent-"));
  return { ...inProcess, files, jobs: jobs.length, secrets: ofRuns.length };
}

/** Counts before each test of the file and again after it, when no run is on. */
export function countAroundEachTest(stage: Stage): void {
  let before: Record<string, number> = {};
  beforeEach(async () => {
    before = await held(stage);
  });
  afterEach(async () => {
    if (!isRealCluster) await stage.local.clearFaults();
    // What a cluster does in the background, and handles that a thread closes, take a moment.
    await expect.poll(() => held(stage)).toEqual(before);
  });
}

/** Whatever a run left on the volume, below the folder of the run logs. */
export function filesLeft(stage: Stage): string[] {
  const logs = join(stage.dataRoot, "instances/default/run-logs");
  if (!existsSync(logs)) return [];
  const all = readdirSync(logs, { recursive: true, encoding: "utf8" });
  return all.filter((name) => statSync(join(logs, name), { throwIfNoEntry: false })?.isFile());
}

/** Waits until the record of the end of this agent's run lies on the volume. */
export async function recordOf(stage: Stage, agent: string): Promise<void> {
  const isRecord = (name: string): boolean => name.includes(`/${agent}/`) && name.endsWith(".pod.end.json");
  await expect.poll(() => filesLeft(stage).some(isRecord)).toBe(true);
}

/** Makes a folder of the volume usable by pods of the real cluster, which run as 1000. */
export function giveAway(path: string): void {
  if (isRealCluster && process.getuid?.() === 0) chownSync(path, 1000, 1000);
}
