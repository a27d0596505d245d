/** Servers in processes of their own, so that they can be killed. */
import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { type Seen, seen } from "./stage.js";

export interface Server {
  child: ChildProcess;
  /** What it has logged so far. */
  log: [stream: string, chunk: string][];
  /** Resolves with the run's end; with nothing when the process ended before. */
  ended: Promise<Seen | undefined>;
  /** Resolves when the text was logged; rejects when the server ended without it. */
  said(text: string): Promise<void>;
}

export interface Serving {
  /** It lives on after its run, until it is killed. */
  stays?: boolean;
  /** It stands still (SIGSTOP) in the call that tells it this text, before it answers. */
  stopsAt?: string;
}

/** Starts a server that executes this run. */
export function serve(context: object, serving: Serving = {}): Server {
  const script = fileURLToPath(new URL("./server.mjs", import.meta.url));
  const child = fork(script, [JSON.stringify(context), JSON.stringify(serving)], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    execArgv: [],
  });
  const log: [string, string][] = [];
  const waiting = new Set<() => void>();
  let isOver = false;
  const ended = new Promise<Seen | undefined>((resolve) => {
    createInterface({ input: child.stdout! })
      .on("line", (line) => {
        const { chunk, result } = JSON.parse(line);
        if (result) return resolve(seen(result, log));
        log.push(chunk);
        for (const look of waiting) look();
      })
      .on("close", () => {
        resolve(undefined);
        isOver = true;
        for (const look of waiting) look();
      });
  });
  const said = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (log.some(([, chunk]) => chunk.includes(text))) resolve();
        else if (isOver) reject(new Error(`the server ended without ${text}: ${JSON.stringify(log)}`));
        else return;
        waiting.delete(look);
      };
      waiting.add(look);
      look();
    });
  return { child, log, ended, said };
}
