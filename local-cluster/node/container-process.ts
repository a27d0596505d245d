/** One container as a local process: a process group of its own, ended as a container runtime ends it. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { openOutputLog } from "./output-log.js";
import type { Reaper } from "./reaper.js";

export interface Launch {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  output: string;
}

export interface ProcessEnd {
  exitCode: number;
  signal?: number;
  /** Set when there was no process at all. */
  startError?: string;
}

// How long a process that left the group may hold the output open before it is left alone.
const DRAIN_MS = 250;

export class ContainerProcess {
  readonly ended: Promise<ProcessEnd>;
  readonly pid: number | undefined;
  readonly #child: ChildProcess | undefined;

  /** Resolves when the process runs, or could not be started (then `ended` says why). */
  static async start(launch: Launch, reaper: Reaper): Promise<ContainerProcess> {
    const log = await openOutputLog(launch.output);
    let child: ChildProcess | undefined;
    let failed: Error | undefined;
    try {
      child = spawn(launch.argv[0]!, launch.argv.slice(1), {
        cwd: launch.cwd,
        env: launch.env,
        detached: true,
        stdio: ["ignore", log.writeFd, log.writeFd],
      });
    } catch (error) {
      failed = error as Error;
    }
    closeSync(log.writeFd);
    return new ContainerProcess(child, failed, log.drained, reaper, launch);
  }

  private constructor(
    child: ChildProcess | undefined,
    failed: Error | undefined,
    drained: (ms: number) => Promise<void>,
    reaper: Reaper,
    launch: Launch,
  ) {
    this.#child = child;
    this.pid = child?.pid;
    if (this.pid !== undefined) reaper.adopt(this.pid);
    this.ended = new Promise<ProcessEnd>((resolve) => {
      if (!child) return resolve(startFailure(failed!, launch));
      child.once("error", (error) => resolve(startFailure(error, launch)));
      child.once("exit", (code, signal) => {
        if (signal === null) return resolve({ exitCode: code! });
        const number = constants.signals[signal];
        resolve({ exitCode: 128 + number, signal: number });
      });
    }).then(async (end) => {
      // A container ends with its first process, whatever else still runs in it.
      this.kill();
      if (this.pid !== undefined) reaper.release(this.pid);
      await drained(DRAIN_MS);
      return end;
    });
  }

  /** TERM to the first process only; like PID 1 of a container it is spared when it has no handler for it. */
  terminate(): void {
    if (this.pid === undefined || this.#child!.exitCode !== null || this.#child!.signalCode !== null) return;
    if (handles(this.pid, constants.signals.SIGTERM)) send(this.pid, "SIGTERM");
  }

  /** KILL to the whole group. */
  kill(): void {
    if (this.pid !== undefined) send(-this.pid, "SIGKILL");
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Already gone.
  }
}

/** Whether the process catches the signal. Where /proc does not tell, it is taken to. */
function handles(pid: number, signal: number): boolean {
  try {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return caught ? (BigInt(`0x${caught[1]}`) & (1n << BigInt(signal - 1))) !== 0n : true;
  } catch {
    return true;
  }
}

function startFailure(error: Error, { argv }: Launch): ProcessEnd {
  const code = (error as NodeJS.ErrnoException).code;
  const why =
    code === "ENOENT"
      ? "executable file not found in $PATH"
      : code === "E2BIG"
        ? "argument list too long"
        : code === "EACCES"
          ? "permission denied"
          : error.message;
  const startError =
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: " +
    `unable to start container process: exec: "${argv[0]}": ${why}: unknown`;
  return { exitCode: 128, startError };
}
