/**
 * Processes that left their container's process group (`setsid`, daemons). A real runtime ends them with the container;
 * here they are found, where /proc exists, by the environment that only this cluster's containers have.
 */

import { readdirSync, readFileSync } from "node:fs";

/** Of all pods of the cluster with this port, or of these. */
export function killStrays(apiPort: number, pods?: Set<string>): void {
  const cluster = `KUBERNETES_PORT=tcp://127.0.0.1:${apiPort}`;
  for (const pid of processes()) {
    try {
      const env = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      if (pid === process.pid || !env.includes(cluster)) continue;
      const host = env.find((variable) => variable.startsWith("HOSTNAME="))?.slice("HOSTNAME=".length) ?? "";
      if (!pods || pods.has(host)) process.kill(pid, "SIGKILL");
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
