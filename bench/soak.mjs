// Many agents for a long time, with faults at random: `npm run soak -- [--minutes 120] [--agents 144] [--seed 1]`.
//
// Three processes: the local cluster; this one, which plays the nodes, the host and bad luck; and a server that runs
// the adapter, is killed now and then, and whose host is slow at times. Each agent has one run after the other. After
// each: every line once and in order, proven, billed once. In the end: no Job, Pod, Secret or file of a run stays, and
// the memory of the servers has not grown. The seed draws which faults come and for how long; when, is the clock's.
// Not played: a volume that hangs (the simulation and the suite on a real NFS do that).

import { fork } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { PlayedNodes, PlayedRun, sleep, startPlayedCluster } from "./played.mjs";

/** Shortest and longest time that an agent works, in seconds. */
const WORK_SECONDS = [30, 300];
/** Seconds from one fault to the next, and how long one lasts at most. */
const FAULT_EVERY = [10, 40];
const FAULT_SECONDS = [1, 15];
/** A killed server is back after so many milliseconds. */
const DOWN_MS = 2_000;
/** How long a run may take from the end of its agent to its result, in seconds. */
const RESULT_SECONDS = 180;
/** How long objects and files may stay after the last result, in seconds. */
const LEFT_SECONDS = 180;
/** How much larger the servers of the last quarter may be than those of the second one. */
const GROWTH = 1.15;

// ── the server ──

async function server() {
  const { createServerAdapter } = await import("../dist/index.js");
  const adapter = createServerAdapter();
  let slowUntil = 0;
  const execute = ({ id, agent }) => {
    let delivered = [];
    const ctx = {
      runId: id,
      agent: { id: agent, companyId: "bench", name: "Ada", adapterType: null, adapterConfig: null },
      runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
      config: { promptTemplate: "go", agentDbMode: "ephemeral" },
      context: { issueId: `issue-${agent}` },
      onLog: async (stream, chunk) => {
        if (stream === "stdout") delivered.push(...(chunk.match(/(?<="id":"p)\d+/g) ?? []).map(Number));
        const wait = slowUntil - Date.now();
        if (wait > 0) await sleep(Math.min(wait, 2_000));
      },
    };
    void adapter.execute(ctx).then((result) => {
      const { errorCode, errorMessage, usage, costUsd } = result;
      const proof = result.resultJson?.log?.proof;
      process.send({ ended: id, delivered, errorCode, errorMessage, usage, costUsd, proof });
      delivered = [];
    });
  };
  const actions = {
    execute,
    slow: ({ ms }) => {
      slowUntil = Date.now() + ms;
    },
  };
  process.on("message", ({ action, ...rest }) => actions[action](rest));
  setInterval(() => process.send({ rssMb: process.memoryUsage().rss / 2 ** 20 }), 10_000).unref();
  process.send({ ready: true });
}

// ── nodes, host and bad luck ──

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function diceOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A server that is there again after it was killed, with all runs that have no result. */
class Servers {
  constructor() {
    this.open = new Map();
    this.rss = [];
    this.kills = 0;
    this.begin();
  }

  begin() {
    const stdio = ["ignore", "inherit", "inherit", "ipc"];
    const child = fork(fileURLToPath(import.meta.url), ["server"], { stdio });
    this.child = child;
    this.isReady = false;
    child.on("message", (message) => {
      this.isReady ||= message.ready === true;
      if (message.ready) for (const run of this.open.values()) child.send(run.call);
      if (message.rssMb) this.rss.push({ at: Date.now(), mb: message.rssMb });
      const run = this.open.get(message.ended);
      if (!run) return;
      this.open.delete(message.ended);
      run.resolve(message);
    });
    child.on("exit", () => {
      if (!this.isOver) setTimeout(() => this.begin(), DOWN_MS);
    });
  }

  execute(id, agent) {
    const call = { action: "execute", id, agent };
    return new Promise((resolve) => {
      this.open.set(id, { call, resolve });
      this.say(call);
    });
  }

  say(message) {
    // One that is not there yet, dead or dying hears nothing; the next one is told all that is open.
    if (this.isReady && this.child.connected) this.child.send(message, () => {});
  }

  kill() {
    this.kills++;
    this.child.kill("SIGKILL");
  }

  stop() {
    this.isOver = true;
    this.child.kill("SIGKILL");
  }
}

/** What goes wrong, by name; each takes the seconds that it lasts. */
const FAULTS = {
  outage: ({ cluster }, s) => cluster.fault({ kind: "outage", ms: s * 1_000 }),
  compact: ({ cluster }) => cluster.fault({ kind: "compact" }),
  "broken watches": ({ cluster }) => cluster.fault({ kind: "drop-watch", afterEvents: 3, count: 4 }),
  "lost answers": ({ cluster }) => cluster.fault({ kind: "reset", verb: "create|delete", perform: true, count: 5 }),
  "errors of the API server": ({ cluster }, s) => cluster.fault({ kind: "status", code: 503, count: 10 * s }),
  "too many requests": ({ cluster }, s) =>
    cluster.fault({ kind: "status", code: 429, retryAfterSeconds: 1, count: 10 * s }),
  "a killed server": ({ servers }) => servers.kill(),
  "a slow host": ({ servers }, s) => servers.say({ action: "slow", ms: s * 1_000 }),
};

async function soak() {
  const { values } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: "string", default: "120" },
      agents: { type: "string", default: "144" },
      seed: { type: "string", default: "1" },
      // Names of faults with commas; all of them when there is none.
      faults: { type: "string", default: Object.keys(FAULTS).join() },
    },
  });
  const [minutes, agents, seed] = [Number(values.minutes), Number(values.agents), Number(values.seed)];
  const cluster = await startPlayedCluster();
  const until = Date.now() + minutes * 60_000;
  const soaked = { cluster, servers: new Servers(), nodes: new PlayedNodes(cluster), wrong: [], runs: 0, faults: {} };
  const dice = diceOf(seed);
  const work = Array.from({ length: agents }, (_, i) => agent(soaked, i, until, diceOf(seed * 1_000 + i)));
  const luck = badLuck(soaked, values.faults.split(","), until, dice);
  await Promise.all([...work, luck]);
  const left = await whatIsLeft(cluster);
  soaked.servers.stop();
  soaked.nodes.stop();
  const memory = memoryOf(soaked.servers.rss);
  await cluster.stop();
  const { runs, faults, wrong } = soaked;
  console.log(
    JSON.stringify({ seed, minutes, agents, runs, faults, left, memory, wrong: wrong.slice(0, 20) }, null, 2),
  );
  const isFlat = memory.lastQuarterMb <= memory.secondQuarterMb * GROWTH;
  console.log(`${runs} runs, ${wrong.length} wrong, ${left.length} left behind, memory ${isFlat ? "flat" : "grows"}`);
  if (wrong.length > 0 || left.length > 0 || !isFlat) process.exitCode = 1;
}

/** One agent: a run after the other until the time is over. */
async function agent(soaked, index, until, dice) {
  const { servers, nodes } = soaked;
  await sleep(dice() * 10_000);
  for (let n = 0; Date.now() < until; n++) {
    const run = new PlayedRun(nodes, `soak-${index}-${n}`, `agent-${index}`);
    const result = servers.execute(run.id, run.agent);
    const refused = await Promise.race([run.start(), result]);
    if (refused?.ended) {
      soaked.runs++;
      soaked.wrong.push({ run: run.id, fault: `not started: ${refused.errorCode}: ${refused.errorMessage}` });
      await sleep(5_000);
      continue;
    }
    const end = Date.now() + between(WORK_SECONDS, dice) * 1_000;
    while (Date.now() < Math.min(end, until)) {
      run.write();
      await sleep(1_000);
    }
    await run.finish();
    const late = sleep(RESULT_SECONDS * 1_000).then(() => ({ errorMessage: `no result within ${RESULT_SECONDS} s` }));
    const fault = wrongIn(await Promise.race([result, late]), run.lines - 1);
    soaked.runs++;
    if (fault) soaked.wrong.push({ run: run.id, fault });
  }
}

/** What is wrong with a run that wrote so many lines, and used what every played run does; nothing as a rule. */
function wrongIn({ delivered, errorCode, errorMessage, usage, proof }, lines) {
  if (errorMessage) return `${errorCode}: ${errorMessage}`;
  if (proof !== "proven") return `the log is ${proof}`;
  if (usage?.inputTokens !== 10 || usage?.outputTokens !== 2) return `billed ${JSON.stringify(usage)}`;
  const at = delivered.findIndex((number, i) => number !== i);
  if (at >= 0) return `line ${delivered[at]} came in the place of line ${at}`;
  return delivered.length === lines ? null : `${delivered.length} of ${lines} lines`;
}

async function badLuck({ cluster, servers, faults }, names, until, dice) {
  while (Date.now() < until) {
    await sleep(Math.min(between(FAULT_EVERY, dice) * 1_000, until - Date.now()));
    const name = names[Math.floor(dice() * names.length)];
    faults[name] = (faults[name] ?? 0) + 1;
    const seconds = Math.ceil(between(FAULT_SECONDS, dice));
    const clear = await Promise.resolve(FAULTS[name]({ cluster, servers }, seconds)).catch(() => undefined);
    if (clear) setTimeout(() => void clear().catch(() => {}), seconds * 1_000);
  }
}

const between = ([least, most], dice) => least + dice() * (most - least);

/** Objects and files of runs, after the time that cleaning up may take: what could not be deleted is tried again. */
async function whatIsLeft(cluster) {
  const look = async () => {
    const objects = await Promise.all(["jobs", "pods", "secrets"].map((kind) => cluster.objects(kind)));
    const names = objects.flat().map(({ kind, metadata }) => `${kind ?? ""} ${metadata.name}`);
    const files = readdirSync(cluster.dataDir, { recursive: true }).filter((name) => String(name).includes("soak-"));
    return [...names.filter((name) => name.includes("soak-")), ...files];
  };
  for (let second = 0; second < LEFT_SECONDS && (await look()).length > 0; second++) await sleep(1_000);
  return await look();
}

/** The largest size of the servers in the second and in the last quarter of the time. */
function memoryOf(rss) {
  const quarter = (n) => rss.slice(Math.floor((rss.length * (n - 1)) / 4), Math.floor((rss.length * n) / 4));
  const largest = (some) => Math.round(Math.max(0, ...some.map(({ mb }) => mb)));
  return { secondQuarterMb: largest(quarter(2)), lastQuarterMb: largest(quarter(4)) };
}

if (process.send && process.argv[2] === "server") await server();
else await soak();
