/** The addon as its users have it who use nothing else: no `dist/`, no adapter-utils. Needs `npm run build`. */
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "addon-alone-"));
  for (const name of readdirSync(root)) {
    if (/^index\.js$|^package\.json$|\.node$/.test(name)) copyFileSync(join(root, name), join(folder, name));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a script in a process of its own; gives what it printed. It must end by itself. */
async function run(name: string, text: string, ...args: string[]): Promise<string> {
  writeFileSync(join(folder, name), text);
  const all = [join(folder, name), ...args];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, all, { cwd: folder, timeout: 300_000 });
  expect(stderr).toBe("");
  return stdout;
}

function log(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const follow = `
  const lines = [];
  const stopSignal = { stopped: false };
  const onLog = async (stream, line) => {
    if (lines.push(line) === 2) stopSignal.stopped = true;
  };
  const text = await tailPodLogFile(process.argv[2], { onLog, stopSignal, pollMs: 5 });
  console.log(JSON.stringify([text, lines]));`;

it("is required from CommonJS, and the process ends by itself", async () => {
  const path = log("cjs.ndjson", "one\ntwo\nthree");
  const script = `const { tailPodLogFile } = require("./index.js");\n(async () => {${follow}\n})();`;
  expect(JSON.parse(await run("a.cjs", script, path))).toEqual(["one\ntwo\nthree\n", ["one\n", "two\n", "three\n"]]);
});

it("is imported from a module", async () => {
  const path = log("esm.ndjson", "one\ntwo\n");
  const script = `import { tailPodLogFile } from "./index.js";${follow}`;
  expect(JSON.parse(await run("a.mjs", script, path))).toEqual(["one\ntwo\n", ["one\n", "two\n"]]);
});

it("works in several worker threads at once, and patches nothing", async () => {
  const path = log("workers.ndjson", "one\ntwo\n");
  const script = `
    import { Worker } from "node:worker_threads";
    const globals = Object.getOwnPropertyNames(globalThis).length;
    const { buildPodLogPath } = await import("./index.js");
    const body = \`
      const { parentPort, workerData } = require("node:worker_threads");
      const { tailPodLogFile } = require(workerData.entry);
      const stopSignal = { stopped: false };
      tailPodLogFile(workerData.path, { onLog: () => { stopSignal.stopped = true; }, stopSignal, pollMs: 5 })
        .then((text) => parentPort.postMessage(text));\`;
    const entry = new URL("./index.js", import.meta.url).pathname;
    const workerData = { entry, path: process.argv[2] };
    const texts = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
      new Worker(body, { eval: true, workerData }).once("message", resolve).once("error", reject);
    })));
    console.log(JSON.stringify({ texts, added: Object.getOwnPropertyNames(globalThis).length - globals }));`;
  expect(JSON.parse(await run("workers.mjs", script, path))).toEqual({ texts: Array(4).fill("one\ntwo\n"), added: 0 });
});

it("stops at any moment without losing a line that was there", async () => {
  const folderOfLogs = join(folder, "many");
  mkdirSync(folderOfLogs);
  const script = `
    import { writeFileSync } from "node:fs";
    import { tailPodLogFile } from "./index.js";
    const all = Array.from({ length: 100 }, async (_, index) => {
      const path = process.argv[2] + "/" + index;
      const text = Array.from({ length: index * 7 }, (_, line) => index + " " + line + "\\n").join("");
      const stopSignal = { stopped: index === 0 };
      const controller = new AbortController();
      const create = () => writeFileSync(path, text + "the end");
      if (index % 2) create();
      else setTimeout(create, index);
      let calls = 0;
      const onLog = () => { if (++calls === index) index % 3 ? controller.abort() : (stopSignal.stopped = true); };
      if (index > 0) setTimeout(() => controller.abort(), 400 + index);
      const got = await tailPodLogFile(path, { onLog, stopSignal, signal: controller.signal, pollMs: 5, maxPollMs: 9 });
      return got === (index === 0 ? "" : text + "the end\\n") && calls === got.split("\\n").length - 1;
    });
    console.log((await Promise.all(all)).filter(Boolean).length);`;
  expect(await run("moments.mjs", script, folderOfLogs)).toBe("100\n");
});

it("tells what is wrong with what it is given, and never ends the process", async () => {
  const script = `
    import * as addon from "./index.js";
    const getter = { get x() { throw new Error("no"); } };
    const selfPod = { namespace: "n", image: "i", imagePullSecrets: [], pvcClaimName: "c", secretVolumes: [],
      inheritedEnv: {}, inheritedEnvValueFrom: [] };
    const ctx = { runId: "r", agent: { id: "a", name: "n", companyId: "c" }, config: {}, context: {} };
    const input = { ctx, selfPod, prompt: "p" };
    const calls = {
      a: () => addon.buildJobManifest(),
      b: () => addon.buildJobManifest({}),
      c: () => addon.buildJobManifest({ ...input, prompt: undefined }),
      d: () => addon.buildJobManifest({ ...input, ctx: { ...ctx, agent: { id: 5, name: "n", companyId: "c" } } }),
      e: () => addon.buildJobManifest({ ...input, selfPod: { ...selfPod, image: 5 } }),
      f: () => addon.buildJobManifest({ ...input, ctx: { ...ctx, config: getter } }),
      g: () => addon.buildPodLogPath(undefined, "a", "r"),
      h: () => addon.sanitizeLabelValue(5),
      i: () => addon.parseOpenCodeJsonl(Buffer.from("x")),
      j: () => addon.resolveOutcome("x"),
      k: () => addon.resolveOutcome({ stdout: 5 }),
      l: () => addon.startRun({}, "x"),
    };
    for (const [name, call] of Object.entries(calls)) {
      try { call(); console.log(name, "no error"); } catch (error) { console.log(name, error.message); }
    }
    const keys = Object.fromEntries(Array.from({ length: 80_000 }, (_, index) => ["k" + index, "v"]));
    console.log(addon.buildJobManifest({ ...input, ctx: { ...ctx, context: keys } }).jobName.startsWith("agent-"));`;
  expect((await run("bad.mjs", script)).trim().split("\n")).toEqual([
    "a input must be an object, it is undefined",
    "b input.selfPod must be an object, it is undefined",
    "c input.prompt must be a text, it is undefined",
    expect.stringContaining("agent.id must be a text, it is a number"),
    expect.stringContaining("selfPod.image: invalid type: integer `5`, expected a string"),
    "f input.ctx.config.x cannot be read: no",
    "g Invalid companyId for log path: (undefined)",
    "h value must be a text, it is a number",
    "i stdout must be a text, it is an object",
    "j facts must be an object, it is a text",
    "k facts.stdout must be a text, it is a number",
    "l onCall must be a function, it is a text",
    "true",
  ]);
});

it("builds a Job from rendered text, and chooses between the prompts of a fresh and of a resumed session", async () => {
  const script = `
    import { buildJobManifest, buildPodLogPath, sessionDeserialize } from "./index.js";
    const selfPod = { namespace: "ns", image: "i", imagePullSecrets: [], pvcClaimName: "data", secretVolumes: [],
      inheritedEnv: {}, inheritedEnvValueFrom: [] };
    const build = (sessionParams) => buildJobManifest({
      ctx: { runId: "r", agent: { id: "a", name: "n", companyId: "c" }, runtime: { sessionParams }, config: {},
        context: {} },
      selfPod, prompt: "FRESH", promptMetrics: { promptChars: 5 }, resumedPrompt: "RESUMED",
      resumedPromptMetrics: { promptChars: 7 },
    });
    const fresh = build(null), resumed = build({ sessionId: "ses_1" });
    const env = (result) => result.job.spec.template.spec.containers[0].env;
    console.log(JSON.stringify([fresh.prompt, fresh.promptMetrics, resumed.prompt, resumed.promptMetrics,
      resumed.opencodeArgs.includes("ses_1"), fresh.namespace, fresh.podLogPath === buildPodLogPath("c", "a", "r"),
      fresh.job.kind, env(fresh).length > 0, fresh.warnings, sessionDeserialize({ session_id: "ses_2" })]));`;
  expect(JSON.parse(await run("job.mjs", script))).toEqual([
    "FRESH",
    { promptChars: 5 },
    "RESUMED",
    { promptChars: 7 },
    true,
    "ns",
    true,
    "Job",
    true,
    [],
    { sessionId: "ses_2" },
  ]);
});

it("gives a large log in chunks of whole lines, up to 120 KiB each", async () => {
  const line = `${"x".repeat(999)}\n`;
  const path = log("large.ndjson", `${line.repeat(5_000)}${"é".repeat(200_000)}\n${line.repeat(10)}`);
  const script = `
    import { tailPodLogFile } from "./index.js";
    const chunks = [];
    const onLines = async (chunk) => { chunks.push(chunk); };
    await tailPodLogFile(process.argv[2], { onLines, stopSignal: { stopped: true }, collect: false });
    const bytes = chunks.map((chunk) => Buffer.byteLength(chunk));
    console.log(JSON.stringify([chunks.join("").length, chunks.every((chunk) => chunk.endsWith("\\n")),
      bytes.filter((size) => size > 120 * 1024)]));`;
  expect(JSON.parse(await run("large.mjs", script, path))).toEqual([5_010_000 + 200_001, true, [400_001]]);
});
