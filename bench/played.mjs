// What the benchmarks of whole runs share: agents that are played, and figures.

import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
export const spread = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const of = (share) => percentile(sorted, share);
  return { median: of(0.5), p95: of(0.95), p99: of(0.99), max: sorted.at(-1) };
};
export const whole = (numbers) =>
  Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, Math.round(value * 10) / 10]));

/** The local cluster, without a node that starts containers, and in the environment what a server of it finds. */
export async function startPlayedCluster() {
  const { startLocalCluster } = await import("../build/local-cluster-client.js");
  const cluster = await startLocalCluster({ mapping: "text" });
  Object.assign(process.env, cluster.env, {
    PAPERCLIP_K8S_DATA_ROOT: cluster.dataDir,
    PAPERCLIP_API_URL: "http://127.0.0.1:9",
  });
  if (process.getuid && process.getuid() !== 0)
    process.env.PAPERCLIP_K8S_VOLUME_OWNER = `${process.getuid()}:${process.getgid()}`;
  await cluster.fault({ kind: "kubelet-down" });
  return cluster;
}

/** Waits for so many messages of a child that have this member. */
export function listenTo(child) {
  const messages = [];
  const waiting = [];
  child.on("message", (message) => {
    messages.push(message);
    for (const look of waiting) look();
  });
  return (what, times = 1) =>
    new Promise((resolve) => {
      const look = () => {
        const found = messages.filter((message) => what in message);
        if (found.length >= times) resolve(found);
      };
      waiting.push(look);
      look();
    });
}

/** Patches of a status at once: a kubelet sends them one after the other, and so many nodes are played. */
const NODES = 16;

/** What the kubelets of a cluster know: one watch for all agents. */
export class PlayedNodes {
  constructor(cluster) {
    this.cluster = cluster;
    this.pods = new Map();
    this.wanted = new Map();
    this.free = NODES;
    this.queue = [];
    this.watch();
  }

  /** Begins again whenever the API server ends it. */
  watch() {
    const again = () => {
      if (!this.isOver) setTimeout(() => this.watch(), 200);
    };
    this.close = this.cluster.watch("pods", ({ object }) => this.see(object.metadata), {}, again);
  }

  see({ name, labels = {} }) {
    const run = labels["paperclip.io/run-id"];
    if (!run) return;
    this.pods.set(run, { name, job: labels["job-name"] });
    this.wanted.get(run)?.(this.pods.get(run));
    this.wanted.delete(run);
  }

  stop() {
    this.isOver = true;
    this.close();
  }

  /** The pod of a run, as soon as there is one. */
  pod(run) {
    return this.pods.get(run) ?? new Promise((resolve) => this.wanted.set(run, resolve));
  }

  async patch(pod, status) {
    while (this.free === 0) await new Promise((resolve) => this.queue.push(resolve));
    this.free--;
    try {
      for (;;) {
        try {
          return await this.cluster.patch("pods", pod, { status }, "status");
        } catch (error) {
          // As a kubelet: again until the API server takes it, or says that there is no such pod.
          if (error.code >= 400 && error.code < 500 && error.code !== 429) throw error;
          await sleep(500);
        }
      }
    } finally {
      this.free++;
      this.queue.shift()?.();
    }
  }
}

/** One agent on a node that is played: it writes its log, and its pod's status. */
export class PlayedRun {
  constructor(nodes, id, agent = `agent-${id}`) {
    this.nodes = nodes;
    this.cluster = nodes.cluster;
    const { cluster } = nodes;
    this.id = id;
    this.agent = agent;
    this.log = `${cluster.dataDir}/instances/default/run-logs/bench/${this.agent}/${id}.pod.ndjson`;
    this.hash = createHash("sha256");
    this.bytes = 0;
    this.lines = 0;
  }

  async start() {
    const { name, job } = await this.nodes.pod(this.id);
    this.pod = name;
    this.job = job;
    return this.status("Running", { running: { startedAt: new Date().toISOString() } });
  }

  status(phase, state) {
    const container = { name: "opencode", image: "i", imageID: "", ready: false, restartCount: 0, state };
    return this.nodes.patch(this.pod, { phase, containerStatuses: [container] });
  }

  write(
    line = {
      type: "text",
      timestamp: 1,
      sessionID: "ses_1",
      part: {
        id: `p${this.lines}`,
        messageID: "m",
        sessionID: "ses_1",
        type: "text",
        text: `line ${this.lines} `.repeat(20),
        time: { start: 1, end: 2 },
      },
    },
  ) {
    this.lines++;
    const text = `${JSON.stringify(line)}\n`;
    this.hash.update(text);
    this.bytes += Buffer.byteLength(text);
    appendFileSync(this.log, text);
  }

  async finish() {
    const tokens = { total: 12, input: 10, output: 2, reasoning: 0, cache: { read: 0, write: 0 } };
    this.write({
      type: "step_finish",
      timestamp: 1,
      sessionID: "ses_1",
      part: { id: "f", messageID: "m", sessionID: "ses_1", type: "step-finish", reason: "stop", cost: 0, tokens },
    });
    const sha256 = this.hash.digest("hex");
    const record = JSON.stringify({
      v: 1,
      run: this.id,
      pod: this.pod,
      exit: 0,
      signal: null,
      bytes: this.bytes,
      errBytes: 0,
      sha256,
      reason: null,
    });
    const now = new Date().toISOString();
    // Not on the volume as well: what is measured is how soon the API's word is received.
    this.finishedAt = Date.now();
    await this.status("Succeeded", {
      terminated: { exitCode: 0, reason: "Completed", message: record, startedAt: now, finishedAt: now },
    });
    this.answeredAt = Date.now();
  }

  /** Its container ends when its pod is deleted. */
  async endsWhenDeleted() {
    const isOurs = ({ metadata }) => metadata.name === this.pod;
    const isLeaving = (all) => all.filter(isOurs).every(({ metadata }) => metadata.deletionTimestamp);
    await this.cluster.waitFor("pods", isLeaving, 120_000);
    const now = new Date().toISOString();
    const terminated = { exitCode: 143, reason: "Error", message: "", startedAt: now, finishedAt: now };
    await this.status("Failed", { terminated }).catch(() => {});
  }
}
