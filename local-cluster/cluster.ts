/** Puts the rooms together: store, API, controllers and node are one cluster. */

import { existsSync, mkdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Access } from "./api/access.js";
import { type Resource, RESOURCES } from "./api/resources.js";
import { ApiServer } from "./api/server.js";
import { badRequest } from "./api/status.js";
import { Verbs } from "./api/verbs.js";
import { ClaimController } from "./controllers/claims.js";
import { GarbageCollector } from "./controllers/garbage.js";
import { JobController } from "./controllers/jobs.js";
import { checkFault, Faults } from "./faults/registry.js";
import type { Fault } from "./faults/spec.js";
import { writeKubeconfig } from "./kubeconfig.js";
import { Node } from "./node/node.js";
import { readOutput } from "./node/output-log.js";
import { canMount } from "./node/rootfs.js";
import { killStrays } from "./node/strays.js";
import type { KubeObject, Pod } from "./objects.js";
import type { ClusterOptions, Ready } from "./options.js";
import { seed } from "./seed.js";
import { Store } from "./store/store.js";
import { admit } from "./validation/admit.js";

export class Cluster {
  readonly faults: Faults;
  readonly server: ApiServer;
  readonly ready: Omit<Ready, "control">;
  readonly #root: string;
  readonly #temporary: boolean;
  readonly #store: Store;
  readonly #jobs: JobController;
  readonly #garbage: GarbageCollector;
  readonly #claims: ClaimController;
  readonly #node: Node;
  #away = false;
  #backAgain: NodeJS.Timeout | undefined;
  #stopped = false;

  static async start(folder: string, options: ClusterOptions): Promise<Cluster> {
    const mapping = options.mapping ?? (process.env.LOCAL_CLUSTER_MAPPING === "mount" ? "mount" : "text");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const root = realpathSync(folder);
    mkdirSync(options.dataDir ?? join(root, "data"), { recursive: true });
    const dataDir = realpathSync(options.dataDir ?? join(root, "data"));
    for (const path of [root, dataDir]) {
      // Mapped paths land in shell scripts that do not expect to quote them.
      if (mapping === "text" && !/^[\w./+-]+$/.test(path))
        throw new Error(`the folder ${path} has characters that a shell script would have to quote`);
    }
    const store = new Store();
    const faults = new Faults();
    const namespace = options.namespace ?? "paperclip";
    const access = new Access(namespace, faults);
    const verbs = new Verbs(store, (resource, object) => admissionWebhooks(faults, resource, object));
    const readLog = (podNamespace: string, pod: string, query: URLSearchParams): string => {
      const container =
        query.get("container") ?? (store.get("pods", podNamespace, pod) as Pod).spec.containers[0]!.name;
      return readOutput(join(root, "logs", podNamespace, pod, `${container}.log`)).toString("utf8");
    };
    const server = new ApiServer({ store, verbs, access, faults, readLog });
    await server.listen(options.port ?? 0);
    // Mount mode is a wish: a system that cannot gets text mode, and `ready` says so.
    const chosen = mapping === "mount" && canMount() ? "mount" : "text";
    const kubeconfig = join(root, "kubeconfig");
    const adminKubeconfig = join(root, "admin.kubeconfig");
    writeKubeconfig(kubeconfig, server.url, namespace, "paperclip", access.tokens.account);
    // kubectl sends no token over plain HTTP, so its way in is part of the path.
    writeKubeconfig(
      adminKubeconfig,
      `${server.url}/as/${access.tokens.admin}`,
      namespace,
      "admin",
      access.tokens.admin,
    );
    const ready = {
      url: server.url,
      kubeconfig,
      adminKubeconfig,
      adminToken: access.tokens.admin,
      dataDir,
      mapping: chosen,
    } as const;
    return new Cluster(root, options, namespace, { store, faults, server, ready });
  }

  private constructor(
    root: string,
    options: ClusterOptions,
    namespace: string,
    made: { store: Store; faults: Faults; server: ApiServer; ready: Omit<Ready, "control"> },
  ) {
    this.#root = root;
    this.#temporary = options.temporary ?? false;
    this.#store = made.store;
    this.faults = made.faults;
    this.server = made.server;
    this.ready = made.ready;
    const { binDir, images = {} } = options;
    const order = options.order ?? (process.env["LOCAL_CLUSTER_ORDER"] === "current" ? "current" : "1.20");
    this.#node = new Node(this.#store, this.faults, {
      root,
      dataDir: made.ready.dataDir,
      apiPort: this.server.port,
      mapping: made.ready.mapping,
      images,
      order,
      ...(binDir ? { binDir } : {}),
    });
    this.#claims = new ClaimController(this.#store, options.storageClasses ?? ["standard"]);
    this.#garbage = new GarbageCollector(this.#store);
    this.#jobs = new JobController(this.#store, {
      order,
      deletedPod: options.deletedPod ?? (order === "current" ? "fails-job" : "replaced"),
      createPod: (pod) => {
        const admitted = admit(RESOURCES.pods!, pod.metadata.namespace, pod);
        admissionWebhooks(this.faults, RESOURCES.pods!, admitted);
        this.#store.create("pods", admitted);
      },
      refusesPods: () => this.faults.podRefusal(),
    });
    seed(this.#store, namespace, options.ownPod ?? {});
    this.faults.onChange(() => this.#freeze());
  }

  addFault(fault: Fault): number {
    checkFault(fault);
    switch (fault.kind) {
      case "outage":
        this.#startOutage(fault.ms);
        return 0;
      case "compact":
        this.#store.compact();
        this.server.dropWatches();
        return 0;
      case "kubelet-down": {
        const id = this.faults.add(fault);
        if (fault.ms !== undefined) setTimeout(() => this.faults.clear(id), fault.ms).unref();
        return id;
      }
      default:
        return this.faults.add(fault);
    }
  }

  /** One fault, or all, an outage too: afterwards the API answers again. */
  async clearFaults(id?: number): Promise<void> {
    this.faults.clear(id);
    if (id === undefined) await this.#endOutage();
  }

  /** The output of a container, also after its pod is gone. */
  logs(namespace: string, pod: string, container: string): string {
    const path = join(this.#root, "logs", namespace, pod, `${container}.log`);
    if (!existsSync(path)) throw badRequest(`container "${container}" in pod "${pod}" has no output here`);
    return readOutput(path).toString("utf8");
  }

  /** Nothing of the cluster runs afterwards. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#backAgain);
    this.#jobs.stop();
    this.#pauseControllers(true);
    await Promise.all([this.#node.stop(), this.server.close()]);
    killStrays(this.server.port);
    if (this.#temporary) rmSync(this.#root, { recursive: true, force: true, maxRetries: 3 });
  }

  #startOutage(ms: number | undefined): void {
    clearTimeout(this.#backAgain);
    if (ms !== undefined) this.#backAgain = setTimeout(() => void this.#endOutage(), ms);
    this.#away = true;
    this.#freeze();
    void this.server.close();
  }

  async #endOutage(): Promise<void> {
    if (!this.#away) return;
    clearTimeout(this.#backAgain);
    this.#away = false;
    await this.server.listen();
    this.#freeze();
  }

  /** Without its API no part of a cluster can change anything; without its kubelet the node cannot. */
  #freeze(): void {
    this.#pauseControllers(this.#away);
    this.#node.freeze(this.#away || this.faults.isOn("kubelet-down"));
  }

  #pauseControllers(paused: boolean): void {
    for (const { queue } of [this.#jobs, this.#garbage, this.#claims]) queue.pause(paused);
  }
}

const QUEUE = "kueue.x-k8s.io/queue-name";

/** What webhooks make of an object: a service mesh adds its container, a queue holds its Jobs back. */
function admissionWebhooks(faults: Faults, resource: Resource, object: KubeObject): void {
  if (resource.plural === "jobs" && object.metadata.labels?.[QUEUE] && faults.isOn("suspend-jobs"))
    object.spec.suspend = true;
  if (resource.plural !== "pods") return;
  const fault = faults.forPod("sidecar", object.metadata.name);
  if (!fault) return;
  const { spec } = object as Pod;
  const proxy = {
    name: fault.name ?? "injected-proxy",
    image: fault.image ?? "mesh/proxy:1",
    command: fault.command ?? ["sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait; done"],
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
  };
  if (fault.native) spec.initContainers = [{ ...proxy, restartPolicy: "Always" }, ...(spec.initContainers ?? [])];
  else spec.containers.push(proxy);
}
