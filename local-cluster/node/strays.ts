/**
 * Processes that left their container's process group (`setsid`, daemons). A real runtime ends them with the container; here
 * they are found, where /proc exists, by the environment that only this cluster's containers have.
 */

import { readdirSync, readFileSync } from "node:fs";

export function killStrays(apiPort: number, pod?: string): void {
  const marks = [`KUBERNETES_PORT=tcp://127.0.0.1:${apiPort}`, ...(pod ? [`HOSTNAME=${pod.slice(0, 63)}`] : [])];
  for (const pid of processes()) {
    try {
      const env = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      if (pid !== process.pid && marks.every((mark) => env.includes(mark))) process.kill(pid, "SIGKILL");
    } catch {
      // Gone meanwhile, or somebody else's.
    }
  }
}

function processes(): number[] {
  try {
    return readdirSync("/proc").map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}
