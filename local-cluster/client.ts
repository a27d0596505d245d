/** Starts a local cluster and talks to it, for tests, benchmarks and the demo. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { connect, type KubeClient } from "./client-api.js";
import type { Fault } from "./faults/spec.js";
import type { ClusterOptions, Ready } from "./options.js";
import { OWN_POD } from "./seed.js";

export type { KubeClient, Query, WatchEvent } from "./client-api.js";
export { KubeError } from "./client-api.js";
export type { Fault, PodFault, PodMatch, RequestFault, RequestMatch, ServerFault } from "./faults/spec.js";
export type { Container, ContainerState, ContainerStatus, Job, KubeObject, Pod } from "./objects.js";
export type { ClusterOptions } from "./options.js";

export interface StartOptions extends Omit<ClusterOptions, "temporary"> {
  /** Everything of the cluster is below it. Default: a temporary folder, removed by `stop`. */
  root?: string;
  /** The bundled process; by default beside this file, else `build/local-cluster.js` of the package. */
  mainScript?: string | URL;
}

export interface LocalCluster extends KubeClient {
  /** Everything of the cluster is below it. */
  root: string;
  /** The kubeconfig of the account with the adapter's Role, and the administrator's. */
  kubeconfig: string;
  adminKubeconfig: string;
  url: string;
  namespace: string;
  /** What the pods see as /paperclip. */
  dataDir: string;
  /** `text` where `mount` was asked for and the system cannot. */
  mapping: "text" | "mount";
  /** What a server in the pod `paperclip-0` would find in its environment. */
  env: { HOSTNAME: string; PAPERCLIP_NAMESPACE: string; KUBECONFIG: string };
  /** The process of the cluster itself. */
  pid: number;
  /** Makes something go wrong; answers what clears it. */
  fault(fault: Fault): Promise<() => Promise<void>>;
  /** Clears all faults, an outage too. */
  clearFaults(): Promise<void>;
  /** How often the account asked, by `verb resource` (`list pods`), since the start or the last `resetRequests`. */
  requests(): Promise<Record<string, number>>;
  resetRequests(): Promise<void>;
  /** The output of a container, also after its pod is gone. */
  logs(pod: string, container?: string): Promise<string>;
  /** Ends the cluster and every process in it. */
  stop(): Promise<void>;
}

export async function startLocalCluster(options: StartOptions = {}): Promise<LocalCluster> {
  const { root: given, mainScript, ...clusterOptions } = options;
  const root = given ?? mkdtempSync(join(tmpdir(), "local-cluster-"));
  // The process removes a temporary root itself; this is for one that was killed.
  const removeRoot = (): void => {
    if (given === undefined) rmSync(root, { recursive: true, force: true, maxRetries: 3 });
  };
  const script =
    mainScript === undefined ? findMain() : mainScript instanceof URL ? fileURLToPath(mainScript) : mainScript;
  const child = spawn(
    process.execPath,
    [script, "--root", root, "--options", JSON.stringify({ ...clusterOptions, temporary: given === undefined })],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  let ready: Ready;
  try {
    ready = await firstLine(child);
  } catch (error) {
    removeRoot();
    throw error;
  }
  const namespace = options.namespace ?? "paperclip";
  const control = async (method: string, path: string, body?: unknown): Promise<any> => {
    const init: RequestInit = { method, headers: { authorization: `Bearer ${ready.adminToken}` } };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await fetch(`${ready.control}/_local/${path}`, init);
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  };
  const client = connect(ready.url, ready.adminToken, namespace);
  return {
    ...client,
    root,
    kubeconfig: ready.kubeconfig,
    adminKubeconfig: ready.adminKubeconfig,
    url: ready.url,
    namespace,
    dataDir: ready.dataDir,
    mapping: ready.mapping,
    env: { HOSTNAME: OWN_POD, PAPERCLIP_NAMESPACE: namespace, KUBECONFIG: ready.kubeconfig },
    pid: child.pid!,
    async fault(fault) {
      const { id } = await control("POST", "faults", fault);
      return async () => void (await control("DELETE", `faults/${id}`));
    },
    clearFaults: async () => void (await control("DELETE", "faults")),
    requests: () => control("GET", "requests"),
    resetRequests: async () => void (await control("DELETE", "requests")),
    async logs(pod, container) {
      const name = container ?? (await client.get("pods", pod)).spec.containers[0].name;
      return (await control("GET", `logs?${new URLSearchParams({ namespace, pod, container: name })}`)).text;
    },
    async stop() {
      await ended(child);
      removeRoot();
    },
  };
}

/** From the bundle: the file beside it. From the sources (vitest): what the build made. */
function findMain(): string {
  const beside = fileURLToPath(new URL("./local-cluster.js", import.meta.url));
  if (existsSync(beside)) return beside;
  for (let folder = dirname(beside); folder !== dirname(folder); folder = dirname(folder)) {
    const built = join(folder, "build", "local-cluster.js");
    if (existsSync(join(folder, "package.json")) && existsSync(built)) return built;
  }
  throw new Error("build/local-cluster.js is missing: run the build first");
}

/** The process says one line when it is ready; what it says on stderr before that explains why it is not. */
function firstLine(child: ChildProcess): Promise<Ready> {
  return new Promise((resolve, reject) => {
    let complaint = "";
    child.stderr!.on("data", (chunk) => {
      complaint = (complaint + String(chunk)).slice(-4000);
      if (process.env.LOCAL_CLUSTER_DEBUG) process.stderr.write(chunk);
    });
    child.once("error", reject);
    child.once("exit", (code) =>
      reject(new Error(`the local cluster ended with ${code} before it was ready: ${complaint}`)),
    );
    createInterface({ input: child.stdout! }).once("line", (line) => resolve(JSON.parse(line) as Ready));
  });
}

/** Closing its stdin ends the process. If that takes too long it is killed, and its reaper ends the containers. */
function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const timer = setTimeout(() => child.kill("SIGKILL"), 90_000);
    child.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.stdin!.end();
  });
}
