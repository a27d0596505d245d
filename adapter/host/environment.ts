/** Everything the adapter reads from the process environment, in one place. */
import { hostname, tmpdir } from "node:os";

import type { Fields } from "./fields.js";
import type { Observation, ProgramPlace, ServerEnvironment } from "../../index.js";

/** Where pods see the shared volume, and the server too unless it says otherwise. */
export const DEFAULT_DATA_ROOT = "/paperclip";

/** Reads the environment of this process. */
export function readServerEnvironment(env: NodeJS.ProcessEnv = process.env): ServerEnvironment {
  const found: ServerEnvironment = {
    podName: env["POD_NAME"],
    namespace: env["PAPERCLIP_NAMESPACE"]?.trim() || env["POD_NAMESPACE"],
    instanceId: env["PAPERCLIP_INSTANCE_ID"],
    kubeconfig: env["KUBECONFIG"],
    kubernetesServiceHost: env["KUBERNETES_SERVICE_HOST"],
    dataRoot: env["PAPERCLIP_K8S_DATA_ROOT"],
    volumeOwner: env["PAPERCLIP_K8S_VOLUME_OWNER"],
    paperclipApiUrl: env["PAPERCLIP_API_URL"],
  };
  const trimmed = Object.entries(found).map(([key, value]: [string, string | undefined]) => [key, value?.trim()]);
  const present = trimmed.filter(([, value]) => value);
  return { hostname: env["HOSTNAME"]?.trim() || hostname(), ...Object.fromEntries(present) };
}

/** How operators want to see the adapter itself. */
export function readObservation(env: NodeJS.ProcessEnv = process.env): Observation {
  return { log: env["PAPERCLIP_K8S_LOG"]?.trim(), metrics: env["PAPERCLIP_K8S_METRICS"]?.trim() };
}

/** The variable with the settings that hold for all agents. */
export const OPERATOR_SETTINGS = "PAPERCLIP_K8S_SETTINGS";

/** What the operator says for all agents, as text. */
export function operatorSettings(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env[OPERATOR_SETTINGS]?.trim() || undefined;
}

/** The variables that decide the biller of a run: the server's own, overlaid with the agent's. */
export function billingEnvironment(configEnv: Fields): NodeJS.ProcessEnv {
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
export function dataRootOf(config: Fields): string {
  const configured = config["dataRoot"];
  if (typeof configured === "string" && configured.trim()) return configured.trim();
  return readServerEnvironment().dataRoot ?? DEFAULT_DATA_ROOT;
}

/** Both places where the volume may be: that of the agent's config, and the server's own whatever the agent's says. */
export function dataRootsOf(config: Fields): { dataRoot: string; serverDataRoot: string } {
  return { dataRoot: dataRootOf(config), serverDataRoot: dataRootOf({}) };
}

/** Where a program of this server's own would run. */
export function programPlace(): ProgramPlace {
  return { environment: { ...process.env }, temp: tmpdir() };
}

/** Whether output of this process goes to a terminal that wants colours. */
export function terminalHasColours(): boolean {
  return process.stdout.isTTY === true && !process.env["NO_COLOR"];
}
