/**
 * A container's output, kept in a bounded file for `logs`. The container writes into a FIFO: unlike Node's own pipes
 * (which are sockets) it can be opened again as /dev/stdout, and it pushes back when nobody reads.
 */

import { execFile } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, renameSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { promisify } from "node:util";

const run = promisify(execFile);

interface OutputLog {
  /** The end that the container writes to; close it once the process has it. */
  writeFd: number;
  /** Resolves when every writer is gone and all is in the file; gives up after `ms`, when some process kept it open. */
  drained(ms: number): Promise<void>;
}

// The kubelet's own limits: ten megabytes a file, and an older one beside it.
export async function openOutputLog(path: string, limit = 10 * 1024 * 1024): Promise<OutputLog> {
  const fifo = `${path}.fifo`;
  rmSync(fifo, { force: true });
  await run("mkfifo", ["-m", "600", fifo]);
  const readFd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeFd = openSync(fifo, "w");
  unlinkSync(fifo);

  let file = openSync(path, "a", 0o600);
  let size = 0;
  let open = true;
  const source = new Socket({ fd: readFd, readable: true, writable: false });
  source.on("data", (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
    size += chunk.length;
    if (size < limit) return;
    closeSync(file);
    renameSync(path, `${path}.1`);
    file = openSync(path, "a", 0o600);
    size = 0;
  });
  source.on("error", () => source.destroy());
  const ended = new Promise<void>((resolve) => {
    source.on("close", () => {
      if (open) closeSync(file);
      open = false;
      resolve();
    });
  });
  return {
    writeFd,
    async drained(ms) {
      const timer = setTimeout(() => source.destroy(), ms);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** What is left of the output, oldest first. */
export function readOutput(path: string): Buffer {
  const parts = [`${path}.1`, path].map((part) => {
    try {
      return readFileSync(part);
    } catch {
      return Buffer.alloc(0);
    }
  });
  return Buffer.concat(parts);
}
