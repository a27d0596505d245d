/** A Paperclip server of our own: started, killed, started again on the same data, stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, openSync, closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { Options } from "../options.js";
import { Database } from "../paperclip/database.js";
import { until } from "../wait.js";
import { writeServerConfig } from "./config-file.js";
import type { Programs } from "./install.js";
import { giveTo, serverUser, type User } from "./user.js";

/** One server and its data, which lie on the shared volume as in a deployment. */
export class PaperclipServer {
  url = "";
  private child: ChildProcess | undefined;
  private readonly jwtSecret = randomBytes(32).toString("hex");
  private readonly user: User | null;

  constructor(
    private readonly options: Options,
    private readonly programs: Programs,
    private readonly scratch: string,
    /** Of the server's own account. */
    private readonly kubeconfig: string,
  ) {
    this.user = serverUser(options);
  }

  /** Writes the configuration and starts the server for the first time. */
  async create(): Promise<void> {
    mkdirSync(this.folder);
    giveTo(this.user, this.options.dataRoot, this.folder, this.kubeconfig);
    const { dataRoot, pictures } = this.options;
    this.url = `http://127.0.0.1:${await writeServerConfig(dataRoot, this.user, pictures !== undefined)}`;
    await this.start();
  }

  /** Starts it on the data that are there, and waits until it answers. */
  async start(): Promise<void> {
    const log = openSync(this.logFile, "a");
    const { node, server } = this.programs;
    const identity = this.user ?? {};
    const child = spawn(node, [server], {
      cwd: this.options.dataRoot,
      env: this.environment(),
      stdio: ["ignore", log, log],
      detached: true,
      ...identity,
    });
    closeSync(log);
    this.child = child;
    await until("Paperclip's health", 180, async () => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the server ended at once:\n${this.lastWords()}`);
      return fetch(`${this.url}/api/health`).then(
        (response) => response.ok,
        () => false,
      );
    });
  }

  /** As the kernel or a node's failure would end it. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** Ends server and database in good order. */
  async stop(): Promise<void> {
    await this.end("SIGTERM");
    const database = this.databasePid();
    if (database === null) return;
    process.kill(database, "SIGINT");
    await until("the database's end", 30, async () => !isAlive(database));
  }

  /** Its database answers nothing for so long, as on a volume that hangs. */
  async holdDatabase(seconds: number): Promise<void> {
    const database = this.databasePid();
    if (database === null) throw new Error("the server has no database of its own");
    const signalAll = (signal: NodeJS.Signals): void => {
      // Its backends are its children; one that ends meanwhile is no matter.
      for (const pid of [database, ...childrenOf(database)]) if (isAlive(pid)) process.kill(pid, signal);
    };
    signalAll("SIGSTOP");
    try {
      await sleep(seconds * 1000);
    } finally {
      signalAll("SIGCONT");
    }
  }

  /** What still runs of it. */
  processes(): number[] {
    return [this.child?.pid, this.databasePid()].filter(
      (pid): pid is number => typeof pid === "number" && isAlive(pid),
    );
  }

  /** Opens its database. */
  database(): Database {
    return Database.open(this.options.dataRoot, this.programs.server);
  }

  get logFile(): string {
    return join(this.scratch, "server.log");
  }

  private get folder(): string {
    return join(this.scratch, "server");
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await ended;
    clearTimeout(late);
  }

  /** A killed server leaves its database running; the next one takes it over. */
  private databasePid(): number | null {
    const file = join(this.options.dataRoot, "instances/default/db/postmaster.pid");
    const pid = existsSync(file) ? Number(readFileSync(file, "utf8").split("\n", 1)[0]) : 0;
    return pid > 0 && isAlive(pid) ? pid : null;
  }

  private lastWords(): string {
    return readFileSync(this.logFile, "utf8").split("\n").slice(-30).join("\n");
  }

  private environment(): NodeJS.ProcessEnv {
    const { dataRoot, namespace, port } = this.options;
    const { NODE_EXTRA_CA_CERTS, HTTPS_PROXY, https_proxy } = process.env;
    return {
      ...{ NODE_EXTRA_CA_CERTS, HTTPS_PROXY, https_proxy },
      PATH: this.programs.path,
      HOME: dataRoot,
      LANG: "C.UTF-8",
      NODE_ENV: "production",
      PAPERCLIP_HOME: dataRoot,
      PAPERCLIP_INSTANCE_ID: "default",
      HOST: "127.0.0.1",
      PORT: new URL(this.url).port,
      PAPERCLIP_DEPLOYMENT_MODE: "local_trusted",
      PAPERCLIP_TELEMETRY_DISABLED: "1",
      PAPERCLIP_ANNOUNCEMENTS_ENABLED: "false",
      PAPERCLIP_MIGRATION_AUTO_APPLY: "true",
      PAPERCLIP_DB_BACKUP_ENABLED: "false",
      PAPERCLIP_AGENT_JWT_SECRET: this.jwtSecret,
      npm_config_registry: this.options.registry,
      npm_config_cache: join(this.folder, "npm"),
      // What the adapter reads.
      KUBECONFIG: this.kubeconfig,
      HOSTNAME: "paperclip-0",
      PAPERCLIP_NAMESPACE: namespace,
      PAPERCLIP_K8S_DATA_ROOT: dataRoot,
      // Agents have another address of it, by the server's pod (objects.yaml).
      PAPERCLIP_API_URL: `http://127.0.0.1:${port}`,
    };
  }
}

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return readFileSync(file, "utf8").split(" ").map(Number).filter(Boolean);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
