// The worst that agents can write, many at once: `npm run bench -- hostile [--runs 144] [--seconds 30]`.
//
// Three processes, as in `runs`: the local cluster, this one that plays the node, and a server. One run is a neighbour
// that prints a line each 100 ms; all others write the worst logs, and one of them is cancelled meanwhile. The answer
// is Markdown.

import { fork } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, truncateSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { listenTo, PlayedNodes, PlayedRun, sleep, spread, startPlayedCluster, whole } from "./played.mjs";

const MIB = 2 ** 20;
const NAMES = 300_000;
/** What the server must keep to, whatever agents write. */
const BOUNDS = { memoryMb: 1_024, lineMb: 64, neighbourMs: 1_000, cancelMs: 55_000 };

/** What an agent does to its log, once and then each second. */
const WORST = {
  "one line of 15 MiB": { once: (log) => appendFileSync(log, `${"x".repeat(15 * MIB)}\n`) },
  "lines of 1 MiB of home folders": { each: (log) => appendFileSync(log, `${"/home/ab ".repeat(MIB / 9)}\n`) },
  "8 TiB of NULs that are not there": { once: (log) => truncateSync(log, 8 * 2 ** 40) },
  "a line without end": { each: (log) => appendFileSync(log, "y".repeat(MIB)) },
  "an error of 1 MiB, nested": {
    each: (log) =>
      appendFileSync(log, `{"type":"error","error":${"[".repeat(100)}"${"e".repeat(MIB)}"${"]".repeat(100)}}\n`),
  },
};

async function server() {
  const { createServerAdapter } = await import("../dist/index.js");
  const adapter = createServerAdapter();
  const memory = (name) =>
    Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
  const idleMb = memory("VmRSS");
  const delay = monitorEventLoopDelay({ resolution: 5 });
  const cancels = new Map();
  const late = [];
  const actions = {
    execute({ id, agent }) {
      const cancel = new AbortController();
      cancels.set(id, cancel);
      const ctx = {
        runId: id,
        agent: { id: agent, companyId: "bench", name: "Ada", adapterType: null, adapterConfig: null },
        runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
        config: { promptTemplate: "go", agentDbMode: "ephemeral" },
        context: { issueId: `task-${agent}` },
        signal: cancel.signal,
        onCancellationReady: async () => {},
        onLog: async (_stream, chunk) => {
          if (id !== "neighbour") return;
          for (const [, at] of chunk.matchAll(/"sent-(\d+)"/g)) late.push(Date.now() - Number(at));
        },
      };
      void adapter
        .execute(ctx)
        .then(({ errorCode, errorMessage }) => process.send({ [`ended ${id}`]: Date.now(), errorCode, errorMessage }));
    },
    cancel: ({ id }) => cancels.get(id).abort(),
    measure() {
      late.length = 0;
      delay.reset();
      delay.enable();
    },
    report: () =>
      process.send({
        report: { idleMb, peakMb: memory("VmHWM"), nowMb: memory("VmRSS"), loopMaxMs: delay.max / 1e6 },
        late,
      }),
    stop: () => process.disconnect(),
  };
  process.on("message", ({ action, ...rest }) => actions[action](rest));
  process.send({ ready: true });
}

async function bench() {
  const options = { runs: { type: "string", default: "144" }, seconds: { type: "string", default: "30" } };
  const { values } = parseArgs({ allowPositionals: true, options });
  const [count, seconds] = [Number(values.runs), Number(values.seconds)];
  const cluster = await startPlayedCluster();
  try {
    print(count, await round(cluster, count, seconds));
  } finally {
    await cluster.stop();
  }
}

async function round(cluster, count, seconds) {
  const child = fork(fileURLToPath(import.meta.url), ["server"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const received = listenTo(child);
  await received("ready");
  const folder = `${cluster.dataDir}/instances/default/run-logs/bench/agent-named`;
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < NAMES; i++) closeSync(openSync(`${folder}/${"n".repeat(180)}${i}`, "w"));
  const kinds = Object.entries(WORST);
  const ids = ["neighbour", "named", ...Array.from({ length: count - 2 }, (_, i) => `run-${i}`)];
  const nodes = new PlayedNodes(cluster);
  const runs = ids.map((id) => new PlayedRun(nodes, id));
  for (const { id, agent } of runs) child.send({ action: "execute", id, agent });
  await Promise.all(runs.map((run) => run.start()));
  const [neighbour, , ...hostile] = runs;
  child.send({ action: "measure" });
  let said = 0;
  const talking = setInterval(() => appendFileSync(neighbour.log, `{"n":${said++},"at":"sent-${Date.now()}"}\n`), 100);
  for (const [i, run] of hostile.entries()) kinds[i % kinds.length][1].once?.(run.log);
  for (let second = 0; second < seconds; second++) {
    for (const [i, run] of hostile.entries()) {
      // Each writes once in ten seconds: together they are as fast as a disk.
      if ((i + second) % 10 === 0) kinds[i % kinds.length][1].each?.(run.log);
    }
    await sleep(1_000);
  }
  const cancelled = [];
  for (const run of hostile.slice(0, kinds.length)) {
    const at = Date.now();
    child.send({ action: "cancel", id: run.id });
    await run.endsWhenDeleted();
    const [end] = await received(`ended ${run.id}`);
    cancelled.push({ ms: end[`ended ${run.id}`] - at, errorCode: end.errorCode });
  }
  clearInterval(talking);
  child.send({ action: "report" });
  const [{ report, late }] = await received("report");
  child.kill();
  nodes.stop();
  return { report, late: whole(spread(late)), said, heard: late.length, cancelled };
}

function print(count, { report, late, said, heard, cancelled }) {
  const slowest = Math.max(...cancelled.map(({ ms }) => ms));
  const { idleMb, peakMb, loopMaxMs } = report;
  const rows = [
    [
      "memory of the server at its peak",
      `${Math.round(peakMb)} MiB (idle ${Math.round(idleMb)})`,
      `${BOUNDS.memoryMb} MiB`,
    ],
    ["the neighbour's lines, median", `${late.median} ms`, ""],
    ["the neighbour's lines, 95 of 100", `${late.p95} ms`, ""],
    ["the neighbour's lines, latest", `${late.max} ms`, `${BOUNDS.neighbourMs} ms`],
    ["the neighbour's lines that were given", `${heard} of ${said}`, "all but the last"],
    ["event loop, longest delay", `${Math.round(loopMaxMs)} ms`, ""],
    ["the slowest of five cancels", `${slowest} ms`, `${BOUNDS.cancelMs} ms`],
  ];
  console.log(
    `${cpus()[0]?.model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
      `Node ${process.version}; ${count} runs\n`,
  );
  console.log(`| what | measured | bound |\n|---|---|---|\n${rows.map((row) => `| ${row.join(" | ")} |`).join("\n")}`);
  const isOver = peakMb > BOUNDS.memoryMb || late.max > BOUNDS.neighbourMs || slowest > BOUNDS.cancelMs;
  if (isOver || heard < said - 20) process.exitCode = 1;
}

if (process.send && process.argv[2] === "server") await server();
else await bench();
