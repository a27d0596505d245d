/** Everything around the cases: the cluster, Paperclip, the port for pods; opened in order, closed in the other one. */
import { join } from "node:path";

import { ClusterView } from "../cluster/cluster-view.js";
import { Kubectl } from "../cluster/kubectl.js";
import { createObjects, deleteObjects, writeServerKubeconfig } from "../cluster/setup.js";
import type { Options } from "../options.js";
import { Api } from "../paperclip/api.js";
import type { Table } from "../table.js";
import { Front } from "./front.js";
import { GitHub } from "./github.js";
import { installPaperclip } from "./install.js";
import { PaperclipServer } from "./server.js";
import { claimVolume, emptyVolume } from "./volume.js";

/** What is open. */
export interface Host {
  options: Options;
  api: Api;
  /** `null`: Paperclip belongs to somebody else. */
  server: PaperclipServer | null;
  cluster: ClusterView;
  kubectl: Kubectl;
  gitHub: GitHub;
  /** The package's folder. */
  root: string;
  /** Ends everything and adds to the table what was left of it. */
  close(table: Table): Promise<void>;
}

type Closers = (() => Promise<void>)[];

/** Opens everything; what it opened is closed again when a step fails. */
export async function openHost(options: Options, root: string, scratch: string): Promise<Host> {
  const closers: Closers = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const front = await Front.open(options.listen, options.port);
    closers.push(() => front.close());
    const gitHub = await GitHub.open(scratch);
    front.gitHub = gitHub;
    closers.push(async () => gitHub.close());
    const kubectl = new Kubectl(options);
    const server = options.paperclipUrl ? null : await ownServer({ options, root, scratch, kubectl, closers });
    front.paperclipUrl = options.paperclipUrl ?? server?.url;
    const api = new Api(front.paperclipUrl ?? "", options.paperclipKey);
    const close = (table: Table): Promise<void> => closeHost(table, server, closeAll);
    return { options, api, server, cluster: new ClusterView(kubectl), kubectl, gitHub, root, close };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

interface Parts {
  options: Options;
  root: string;
  scratch: string;
  kubectl: Kubectl;
  closers: Closers;
}

/** A deployment in the cluster, and a server that takes itself for its pod. */
async function ownServer({ options, root, scratch, kubectl, closers }: Parts): Promise<PaperclipServer> {
  const programs = await installPaperclip(options);
  claimVolume(options.dataRoot);
  closers.push(async () => {
    if (!options.keep) emptyVolume(options.dataRoot);
  });
  closers.push(async () => {
    if (!options.keep) await deleteObjects(kubectl, options);
  });
  await createObjects(kubectl, options, root);
  const kubeconfig = join(scratch, "kubeconfig");
  await writeServerKubeconfig(kubectl, options, kubeconfig);
  const server = new PaperclipServer(options, programs, scratch, kubeconfig);
  closers.push(() => server.stop());
  await server.create();
  return server;
}

async function closeHost(table: Table, server: PaperclipServer | null, closeAll: () => Promise<void>): Promise<void> {
  const started = performance.now();
  await closeAll();
  if (!server) return;
  const left = server.processes();
  table.add({
    what: "processes of the server after its end",
    expected: "none",
    seen: left.length === 0 ? "none" : `pids ${left.join(", ")}`,
    ok: left.length === 0,
    seconds: (performance.now() - started) / 1000,
  });
}
