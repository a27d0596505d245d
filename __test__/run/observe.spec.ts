/** What operators see of the adapter itself: the server's log and its metrics, around whole runs. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, expect, test } from "vitest";

import { answer, contextOf, useStage } from "./stage.js";

const KEY = "sk-a-key-that-nobody-may-see";
const SAID = "what-the-agent-says-is-no-business-of-the-log";

useStage();
const folder = mkdtempSync(join(tmpdir(), "observe-"));
afterAll(async () => {
  rmSync(folder, { recursive: true });
});

interface Server {
  child: ChildProcess;
  stderr(): string;
  /** Resolves with the result of its run. */
  result: Promise<Record<string, any>>;
}

/** A server that executes one run and writes its log to a pipe. */
function serve(env: Record<string, string>, stays: boolean): Server {
  const script = fileURLToPath(new URL("./server.mjs", import.meta.url));
  const context = contextOf(answer(SAID), { config: { env: { ANTHROPIC_API_KEY: KEY, ...contextOf("").config.env } } });
  const child = fork(script, [JSON.stringify(context), JSON.stringify({ stays })], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...process.env, ...env },
    execArgv: [],
  });
  let [stdout, stderr] = ["", ""];
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const result = new Promise<Record<string, any>>((resolve, reject) => {
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      const line = stdout.split("\n").find((line) => line.startsWith('{"result"'));
      if (line !== undefined && stdout.endsWith("\n")) resolve(JSON.parse(line).result);
    });
    child.once("exit", () => reject(new Error(`the server ended: ${stderr}`)));
  });
  return { child, stderr: () => stderr, result };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const events = (log: string) =>
  log
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, any>);

test("a run is seen in the log and in the metrics, and its secrets in neither", async () => {
  const port = await freePort();
  const at = `http://127.0.0.1:${port}`;
  const server = serve({ PAPERCLIP_K8S_LOG: "debug", PAPERCLIP_K8S_METRICS: `127.0.0.1:${port}` }, true);
  try {
    expect(await server.result).toMatchObject({ exitCode: 0, errorCode: null, summary: SAID });
    const answered = await fetch(`${at}/metrics`);
    expect(answered.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const metrics = await answered.text();
    for (const line of [
      'runs_ended_total{code="ok"} 1',
      'logs_ended_total{proof="proven"} 1',
      'runs{phase="running"} 0',
      "schedule_seconds_count 1",
      "start_seconds_count 1",
      "end_seen_seconds_count 1",
      'api_requests_total{code="201",resource="jobs",verb="create"} 1',
      "tails 0",
      "tail_lag_bytes 0",
    ])
      expect(metrics).toContain(`\npaperclip_opencode_k8s_${line}\n`);
    expect((await fetch(`${at}/`)).status).toBe(404);
    expect((await fetch(`${at}/metrics`, { method: "POST" })).status).toBe(405);

    await expect.poll(server.stderr).toContain('"msg":"swept"');
    const log = server.stderr();
    const said = events(log);
    const order = ["run admitted", "Job created", "gate opened", "scheduled", "started", "run ended"];
    expect(said.map(({ msg }) => msg).filter((msg) => order.includes(msg))).toEqual(order);
    const ended = said.find(({ msg }) => msg === "run ended");
    expect(ended).toMatchObject({ level: "info", code: "ok", proof: "proven" });
    expect(ended!["job"]).toMatch(/^agent-opencode-/);
    expect(ended!["run"]).toMatch(/^run-/);
    expect(ended!["agent"]).toMatch(/^agent-/);

    for (const text of [metrics, log]) for (const secret of [KEY, SAID, "printf"]) expect(text).not.toContain(secret);
    expect(metrics).not.toContain(ended!["run"]);
  } finally {
    server.child.kill("SIGKILL");
  }
});

test("metrics in a file keep no server alive, and the log is quiet", async () => {
  const file = join(folder, "adapter.prom");
  const server = serve({ PAPERCLIP_K8S_METRICS: file }, false);
  const [exit] = await Promise.all([once(server.child, "exit"), server.result]);
  expect(exit).toEqual([0, null]);
  expect(readFileSync(file, "utf8")).toContain("\npaperclip_opencode_k8s_runs_ended_total");
  expect(readdirSync(folder)).toEqual(["adapter.prom"]);
  expect(server.stderr()).toBe("");
});

test.each([
  ["0.0.0.0:9464", "not a loopback address"],
  ["metrics.prom", "no address and no file"],
])("metrics to %s are refused in one line, and the run goes on", async (place, why) => {
  const server = serve({ PAPERCLIP_K8S_METRICS: place }, false);
  const [, result] = await Promise.all([once(server.child, "exit"), server.result]);
  expect(result).toMatchObject({ exitCode: 0, errorCode: null });
  expect(events(server.stderr())).toMatchObject([{ level: "error", why: expect.stringContaining(why) }]);
  expect(existsSync("metrics.prom")).toBe(false);
});

test("a port in use is one line, and the run goes on", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  const server = serve({ PAPERCLIP_K8S_METRICS: `127.0.0.1:${port}` }, false);
  const [, result] = await Promise.all([once(server.child, "exit"), server.result]);
  taken.close();
  expect(result).toMatchObject({ exitCode: 0, errorCode: null });
  expect(events(server.stderr())).toMatchObject([{ level: "error", why: expect.stringContaining("cannot listen on") }]);
});
