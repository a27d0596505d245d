/** kubectl of this machine, by which a terminal outside of the cluster gets there. */
import { execFile } from "node:child_process";

const LIMIT_MS = 60_000;
const OUTPUT_BYTES = 64 * 1024 * 1024;

/** Which cluster, and where in it. */
export interface Access {
  namespace: string | undefined;
  kubeconfig: string | undefined;
}

/** What it printed, and how it ended. */
export interface Ended {
  stdout: string;
  /** `null`: well. Else the last thing that it said. */
  failure: string | null;
}

/** Runs kubectl; throws only when there is none. */
export function kubectl({ namespace, kubeconfig }: Access, args: string[], input = ""): Promise<Ended> {
  const where = namespace === undefined ? [] : ["--namespace", namespace];
  const access = kubeconfig === undefined ? [] : ["--kubeconfig", kubeconfig];
  return new Promise((resolve, reject) => {
    const limits = { timeout: LIMIT_MS, maxBuffer: OUTPUT_BYTES };
    const child = execFile("kubectl", [...access, ...where, ...args], limits, (error, stdout, stderr) => {
      if (error === null) return resolve({ stdout, failure: null });
      if ((error as NodeJS.ErrnoException).code === "ENOENT") {
        return reject(new Error("kubectl is not here: install it, or run this in the server's pod"));
      }
      const isTooLong = (error as NodeJS.ErrnoException).code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER";
      const cut = isTooLong ? `kubectl's answer is over ${OUTPUT_BYTES / 1024 / 1024} MiB` : error.message;
      const late = error.killed && !isTooLong ? `kubectl does not answer within ${LIMIT_MS / 1000} s` : cut;
      // What the command in the pod said stands before this.
      const lines = stderr
        .split("\n")
        .filter((line) => line.trim() && !line.startsWith("command terminated with exit"));
      resolve({ stdout, failure: lines.at(-1)?.replace(/^error: /, "") || late });
    });
    // A kubectl that ends before it has read this has said why.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
