/** Everything the adapter reads from the process environment, in one place. */
import { hostname } from "node:os";

import type { Observation, ServerEnvironment } from "../../index.js";

/** Where pods see the shared volume, and the server too unless it says otherwise. */
export const DEFAULT_DATA_ROOT = "/paperclip";

/** Reads the environment of this process. */
export function readServerEnvironment(env: NodeJS.ProcessEnv = process.env): ServerEnvironment {
  const found: Record<Exclude<keyof ServerEnvironment, "hostname">, string | undefined> = {
    podName: env["POD_NAME"],
    namespace: env["PAPERCLIP_NAMESPACE"]?.trim() || env["POD_NAMESPACE"],
    instanceId: env["PAPERCLIP_INSTANCE_ID"],
    kubeconfig: env["KUBECONFIG"],
    kubernetesServiceHost: env["KUBERNETES_SERVICE_HOST"],
    dataRoot: env["PAPERCLIP_K8S_DATA_ROOT"],
    volumeOwner: env["PAPERCLIP_K8S_VOLUME_OWNER"],
    paperclipApiUrl: env["PAPERCLIP_API_URL"],
  };
  const present = Object.entries(found)
    .map(([key, value]) => [key, value?.trim()] as const)
    .filter((entry): entry is readonly [string, string] => Boolean(entry[1]));
  return { hostname: env["HOSTNAME"]?.trim() || hostname(), ...Object.fromEntries(present) };
}

/** How operators want to see the adapter itself. */
export function readObservation(env: NodeJS.ProcessEnv = process.env): Observation {
  return { log: env["PAPERCLIP_K8S_LOG"]?.trim(), metrics: env["PAPERCLIP_K8S_METRICS"]?.trim() };
}

/** The variables that decide the biller of a run: the server's own, overlaid with the agent's. */
export function billingEnvironment(configEnv: Record<string, unknown>): NodeJS.ProcessEnv {
  const own = Object.entries(configEnv).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return { ...process.env, ...Object.fromEntries(own) };
}

/** Where programs of this server are. */
export function serverPath(): string | undefined {
  return process.env["PATH"];
}

/** Where this server listens: the host writes the first of them when it has decided. */
export function serverPort(): string | undefined {
  return process.env["PAPERCLIP_LISTEN_PORT"]?.trim() || process.env["PORT"]?.trim() || undefined;
}

/** Where this server sees the shared volume for one agent: its config, then the environment, then the default. */
export function dataRootOf(config: Record<string, unknown>): string {
  const configured = config["dataRoot"];
  if (typeof configured === "string" && configured.trim()) return configured.trim();
  return readServerEnvironment().dataRoot ?? DEFAULT_DATA_ROOT;
}

/** Whether output of this process goes to a terminal that wants colours. */
export function terminalHasColours(): boolean {
  return process.stdout.isTTY === true && !process.env["NO_COLOR"];
}
