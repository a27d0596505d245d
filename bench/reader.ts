/** One reader process of the benchmark: `node reader.js <job as JSON>`; reports one line of JSON for each request. */
import { readdirSync, readFileSync } from "node:fs";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";

import { buildPodLogPath, tailPodLogFile as ours } from "../dist/index.js";
import { tailPodLogFile as peer } from "./peer.js";

interface Job {
  who: "ours" | "peer";
  collect: boolean;
  files: string[];
  /** Stop when so many bytes were delivered; otherwise on request. */
  untilBytes?: number;
  /** Measure the event loop's delay; that costs more CPU than what it measures. */
  delay: boolean;
  /** Lines begin with the time they were written. */
  timed: boolean;
}

const job = JSON.parse(process.argv[2] ?? "{}") as Job;
const stopSignal = { stopped: false };
const delay = monitorEventLoopDelay({ resolution: 1 });
let bytes = 0;
let lines = 0;
let latencies: number[] = [];
let counted = false;
let deliveredMs = 0;
let base = sample();

/** CPU of one thread in ms, as the scheduler counts it. */
function threadCpu(thread: string | number): number {
  try {
    return Number(readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ", 1)[0]) / 1e6;
  } catch {
    return 0;
  }
}

function sample() {
  return { cpu: process.cpuUsage(), main: threadCpu(process.pid), at: performance.now() };
}

const onLog = async (stream: "stdout" | "stderr", line: string): Promise<void> => {
  if (stream !== "stdout") return;
  lines++;
  bytes += line.length;
  if (job.timed && counted) latencies.push(Date.now() - Number(line.slice(0, 13)));
  if (job.untilBytes !== undefined && bytes >= job.untilBytes) {
    stopSignal.stopped = true;
    deliveredMs = performance.now() - base.at;
  }
};

function report(extra: object = {}): void {
  const cpu = process.cpuUsage(base.cpu);
  const threads = readdirSync("/proc/self/task").length;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  const answer = {
    wallMs: performance.now() - base.at,
    cpuMs: (cpu.user + cpu.system) / 1000,
    mainMs: threadCpu(process.pid) - base.main,
    threads,
    deliveredMs,
    lines,
    bytes,
    p50: at(0.5),
    p99: at(0.99),
    max: at(1),
    delayP99: delay.percentile(99) / 1e6 - 1,
    delayMax: delay.max / 1e6 - 1,
    peakRssMb: process.resourceUsage().maxRSS / 1024,
    ...extra,
  };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

process.stdin.setEncoding("utf8").on("data", (chunk: string) => {
  for (const word of chunk.trim().split("\n")) {
    if (word === "mark") {
      // The warm-up is over.
      base = sample();
      latencies = [];
      lines = bytes = 0;
      delay.reset();
      counted = true;
      process.stdout.write("{}\n");
    } else if (word.startsWith("add ")) {
      void ours(word.slice(4), { onLog: () => {}, ref: false, appearTimeoutMs: 1e9 }).catch(() => {});
      process.stdout.write("{}\n");
    } else if (word === "report") report();
    else if (word === "stop") process.exit(0);
  }
});

// Loads the addon: a server does so once.
buildPodLogPath("a", "b", "c");
const idleRss = process.memoryUsage.rss() / 1024 / 1024;
if (job.delay) delay.enable();
base = sample();
const tail = job.who === "peer" ? peer : ours;
const options = job.who === "peer" ? { onLog, stopSignal } : { onLog, stopSignal, collect: job.collect };
// Without files it is the process to compare with.
const idle = job.files.length === 0 ? [new Promise<string>(() => {})] : [];
const all = Promise.all(job.files.map((file) => tail(file, options as never)).concat(idle));
try {
  const texts = await all;
  // The last look at the loop's delay, then the result.
  await new Promise((resolve) => setImmediate(resolve));
  report({ textLength: texts.reduce((sum, text) => sum + text.length, 0), idleRssMb: idleRss });
} catch (error) {
  report({ failed: error instanceof Error ? error.message : String(error), idleRssMb: idleRss });
}
process.exit(0);
