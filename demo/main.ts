/**
 * One agent run from end to end on this machine: a local stand-in for a cluster, a scratch shared volume, and the
 * public adapter as Paperclip uses it. The pod's opencode replays a recorded session unless a real one is given.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import type * as Adapter from "../adapter/index.js";
import { type LocalCluster, startLocalCluster } from "../local-cluster/client.js";
import { Delays } from "./delays.js";
import { type DemoOptions, readOptions } from "./options.mjs";
import { isSuccess, Screen } from "./screen.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const fixtures = join(root, "fixtures", "opencode");

try {
  const options = readOptions(process.argv.slice(2), fixtures, process.stdout.columns);
  if (typeof options === "string") console.log(options);
  else process.exitCode = (await demo(options)) ? 0 : 1;
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}

async function demo(options: DemoOptions): Promise<boolean> {
  const scratch = mkdtempSync(join(tmpdir(), "opencode-k8s-demo-"));
  const times = join(scratch, "times");
  const screen = new Screen();
  let cluster: LocalCluster | undefined;
  const cleanUp = async (): Promise<void> => {
    await cluster?.stop();
    if (options.keep) console.log(`kept: ${scratch}`);
    else rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  };
  endCleanly(cleanUp);
  try {
    cluster = await startLocalCluster({
      root: join(scratch, "cluster"),
      binDir: agentFolder(scratch, options),
      images: { "paperclip/paperclip:latest": { env: replayEnvironment(options, times) } },
    });
    Object.assign(process.env, cluster.env, serverEnvironment(cluster.dataDir));
    // The package as the host imports it.
    const { createServerAdapter } = (await import(entry(options).href)) as typeof Adapter;
    screen.title(options.opencode ?? `Recorded session: ${options.scenario}`);
    const delays = new Delays(times);
    const started = performance.now();
    const result = await createServerAdapter().execute(context(options, screen, delays));
    screen.summary(result, delays, (performance.now() - started) / 1000);
    return isSuccess(result);
  } finally {
    await cleanUp();
  }
}

/** A person's Ctrl-C and a closed pipe (`| head`) end the demo too, and leave nothing behind. */
function endCleanly(cleanUp: () => Promise<void>): void {
  let ending = false;
  const end = (code: number): void => {
    if (ending) return;
    ending = true;
    void cleanUp().finally(() => process.exit(code));
  };
  process.once("SIGINT", () => end(130));
  process.once("SIGTERM", () => end(143));
  process.once("SIGHUP", () => end(129));
  // Every further line fails as well.
  process.stdout.on("error", () => end(1));
}

function entry({ adapter }: DemoOptions): URL {
  return adapter === null ? new URL("../dist/index.js", import.meta.url) : pathToFileURL(adapter);
}

/** Where this process sees the shared volume, and as whom its pods write: they run as the user of this process. */
function serverEnvironment(dataDir: string): Record<string, string> {
  const { getuid, getgid } = process;
  const owner = getuid && getgid && getuid() !== 0 ? { PAPERCLIP_K8S_VOLUME_OWNER: `${getuid()}:${getgid()}` } : {};
  return { PAPERCLIP_K8S_DATA_ROOT: dataDir, PAPERCLIP_API_URL: "http://127.0.0.1:9", ...owner };
}

/** A folder with the program `opencode`. */
function agentFolder(scratch: string, options: DemoOptions): string {
  const folder = join(scratch, "bin");
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "opencode");
  if (options.opencode !== null) {
    symlinkSync(options.opencode, program);
  } else {
    const replay = fileURLToPath(new URL("./opencode-replay.js", import.meta.url));
    writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${replay}" "$@"\n`);
    chmodSync(program, 0o755);
  }
  return folder;
}

/** What the image of the replayer would set. */
function replayEnvironment(options: DemoOptions, times: string): Record<string, string> {
  if (options.opencode !== null) return {};
  return { REPLAY_FIXTURE: join(fixtures, options.scenario), REPLAY_TIMES: times, REPLAY_SPEED: String(options.speed) };
}

/** What a real opencode needs to know of its provider, as the agent's own environment. */
function providerEnvironment(options: DemoOptions): Record<string, string> {
  if (options.opencode === null) return {};
  const wanted = /^OPENCODE_|_API_KEY$|_BASE_URL$/;
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => wanted.test(entry[0]) && entry[1] !== undefined,
    ),
  );
}

function context(options: DemoOptions, screen: Screen, delays: Delays): AdapterExecutionContext {
  const [companyId, agentId] = ["demo-company", "demo-agent"];
  return {
    runId: `demo-${Date.now().toString(36)}`,
    agent: { id: agentId, companyId, name: "Demo agent", adapterType: "opencode_k8s", adapterConfig: {} },
    runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
    config: {
      model: options.model,
      promptTemplate: "You are {{agent.name}}. Show what you can do, then stop.",
      env: providerEnvironment(options),
    },
    context: { issueId: "demo-issue" },
    onLog: async (stream, chunk) => {
      if (stream === "stdout") delays.arrived(chunk);
      screen.log(stream, chunk);
    },
  };
}
