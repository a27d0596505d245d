// Many runs at once: `npm run bench -- runs [--runs 144] [--minutes 2] [--every 1] [--starts 50]`.
// Each agent writes a line every so many seconds; so many runs are started a second, as a scheduler would.
//
// Three processes: the local cluster; this one, which plays the node (it writes the agents' logs and the pods' status,
// so that no agent takes the machine's time); and a server that executes the runs through the public adapter. The peer
// asks for every run as the TypeScript adapter does: the Job every 2 s and its pods every 15 s.

import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { listenTo, PlayedNodes, PlayedRun, sleep, spread, startPlayedCluster, whole } from "./played.mjs";

// ── the server ──

async function server() {
  const { createServerAdapter } = await import("../dist/index.js");
  const adapter = createServerAdapter();
  const rss = () => process.memoryUsage().rss / 2 ** 20;
  const idle = rss();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  let cpu = process.cpuUsage();
  let longestGc = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longestGc = Math.max(longestGc, duration);
  }).observe({ entryTypes: ["gc"] });
  const actions = {
    execute({ id }) {
      const ctx = {
        runId: id,
        agent: { id: `agent-${id}`, companyId: "bench", name: "Ada", adapterType: null, adapterConfig: null },
        runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
        config: { promptTemplate: "go", agentDbMode: "ephemeral" },
        context: {},
        onLog: async () => {},
      };
      void adapter.execute(ctx).then((result) =>
        process.send({
          id,
          ended: Date.now(),
          proof: result.resultJson?.log?.proof,
          ...(result.errorMessage ? { error: result.errorMessage } : {}),
        }),
      );
    },
    // The peer: plain requests as the account.
    poll({ runs, url, token, minutes }) {
      const until = Date.now() + minutes * 60_000;
      const headers = { authorization: `Bearer ${token}` };
      const ask = async (path) => void (await (await fetch(url + path, { headers })).json());
      const every = async (ms, path) => {
        await sleep(Math.random() * ms);
        for (; Date.now() < until; await sleep(ms)) await ask(path).catch(() => {});
      };
      const pods = (name) => `/api/v1/namespaces/paperclip/pods?labelSelector=job-name%3D${name}`;
      const all = runs.flatMap((name) => [
        every(2_000, `/apis/batch/v1/namespaces/paperclip/jobs/${name}`),
        every(15_000, pods(name)),
      ]);
      void Promise.all(all).then(() => process.send({ polled: true }));
    },
    measure() {
      delay.reset();
      delay.enable();
      cpu = process.cpuUsage();
      longestGc = 0;
    },
    report() {
      const { user, system } = process.cpuUsage(cpu);
      process.send({
        report: {
          idleMb: idle,
          rssMb: rss(),
          // Of which JavaScript's.
          heapMb: process.memoryUsage().heapTotal / 2 ** 20,
          loopP99Ms: delay.percentile(99) / 1e6 - 10,
          loopMaxMs: delay.max / 1e6 - 10,
          cpuMs: (user + system) / 1e3,
          gcMaxMs: longestGc,
        },
      });
    },
    stop: () => process.disconnect(),
  };
  process.on("message", ({ action, ...rest }) => actions[action](rest));
  process.send({ ready: true });
}

// ── the node ──

/** With more runs than this the peer's requests measure the local cluster. */
const MOST_WITH_PEER = 300;

async function bench() {
  const { values } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string", default: "144" },
      minutes: { type: "string", default: "2" },
      every: { type: "string", default: "1" },
      starts: { type: "string", default: "50" },
    },
  });
  const [count, minutes] = [Number(values.runs), Number(values.minutes)];
  const pace = { every: Number(values.every), starts: Number(values.starts) };
  const cluster = await startPlayedCluster();
  try {
    const few = await round(cluster, pace, Math.max(1, Math.round(count / 12)), Math.min(minutes, 1), false);
    const many = await round(cluster, pace, count, minutes, count <= MOST_WITH_PEER);
    console.log(JSON.stringify({ few, many }, null, 2));
    const unproven = count - (many.proofs.proven ?? 0);
    const grows = many.requestsPerMinute > few.requestsPerMinute + 4;
    if (unproven > 0 || grows || many.resultAfterMs.p95 > 200) process.exitCode = 1;
    console.log(
      `${count} runs: ${unproven} unproven; requests per minute ${few.requestsPerMinute} (${few.runs} runs) -> ` +
        `${many.requestsPerMinute}; ${many.kbPerRun} KiB a run; results within ${many.resultAfterMs.p95} ms (p95)`,
    );
  } finally {
    await cluster.stop();
  }
}

/** So many runs from their creation to their result, with a steady state in between. */
async function round(cluster, { every, starts }, count, minutes, withPeer) {
  const child = fork(fileURLToPath(import.meta.url), ["server"], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const received = listenTo(child);
  await received("ready");
  const nodes = new PlayedNodes(cluster);
  const runs = Array.from({ length: count }, (_, i) => new PlayedRun(nodes, `run-${count}-${i}`));
  const begun = Date.now();
  const started = [];
  for (const [i, run] of runs.entries()) {
    await sleep(begun + (i * 1_000) / starts - Date.now());
    child.send({ action: "execute", id: run.id });
    started.push(run.start());
  }
  // A run that ends before its agent is there would be waited for in vain.
  const failed = received("error").then(([{ id, error }]) => Promise.reject(new Error(`${id}: ${error}`)));
  await Promise.race([Promise.all(started), failed]);
  const startSeconds = (Date.now() - begun) / 1_000;
  // A tenth of a second for a share of the agents each: they do not all write at once.
  let turn = 0;
  const writing = setInterval(() => {
    for (let i = turn; i < runs.length; i += every * 10) runs[i].write();
    turn = (turn + 1) % (every * 10);
  }, 100);
  await sleep(5_000);
  await cluster.resetRequests();
  child.send({ action: "measure" });
  await sleep(minutes * 60_000);
  const requests = await cluster.requests();
  child.send({ action: "report" });
  const [{ report }] = await received("report");
  const peer = withPeer ? await comparePeer(cluster, child, runs, received) : undefined;
  clearInterval(writing);
  child.send({ action: "measure" });
  // A status after the other, and its answer is not waited for: 20 ends a second.
  const finished = [];
  for (const run of runs) {
    finished.push(run.finish());
    await sleep(50);
  }
  await Promise.all(finished);
  const ended = new Map((await received("ended", count)).map((message) => [message.id, message]));
  const resultAfter = (run) => ended.get(run.id).ended - run.finishedAt;
  child.send({ action: "report" });
  const atTheEnd = (await received("report", peer ? 3 : 2)).at(-1).report;
  child.send({ action: "stop" });
  nodes.stop();
  const late = runs
    .map((run) => ({ answered: run.answeredAt - run.finishedAt, result: resultAfter(run) }))
    .sort((a, b) => b.result - a.result);
  return {
    runs: count,
    minutes,
    startSeconds,
    requests,
    requestsPerMinute: Math.round(Object.values(requests).reduce((sum, n) => sum + n, 0) / minutes),
    server: whole(report),
    // Told, with proof and cleanup: that an end was seen is told nowhere else, and came before.
    resultAfterMs: whole(spread(runs.map(resultAfter))),
    // Of that time, what passed until the API server had answered the write of the status.
    answeredAfterMs: whole(spread(runs.map((run) => run.answeredAt - run.finishedAt))),
    latest: late.slice(0, 5),
    atTheEnd: whole(atTheEnd),
    kbPerRun: Math.round(((report.rssMb - report.idleMb) * 1_024) / count),
    proofs: countOf(runs.map((run) => ended.get(run.id).proof ?? ended.get(run.id).error)),
    peer,
  };
}

/** How often each word comes. */
const countOf = (words) => {
  const counts = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
};

/** The other way of working, for the same Jobs, one minute. */
async function comparePeer(cluster, child, runs, received) {
  const kubeconfig = readFileSync(cluster.kubeconfig, "utf8");
  const token = /token:\s*"?([\w-]+)/.exec(kubeconfig)[1];
  await cluster.resetRequests();
  child.send({ action: "measure" });
  child.send({ action: "poll", runs: runs.map((run) => run.job), url: cluster.url, token, minutes: 1 });
  await received("polled");
  const requests = await cluster.requests();
  child.send({ action: "report" });
  const { report } = (await received("report", 2))[1];
  return { requests, requestsPerMinute: Object.values(requests).reduce((sum, n) => sum + n, 0), server: whole(report) };
}

if (process.send && process.argv[2] === "server") await server();
else await bench();
