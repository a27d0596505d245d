/** Everything the adapter reads from the process environment, in one place. */
import { hostname, tmpdir } from "node:os";
import { delimiter } from "node:path";

import type { Fields } from "./fields.js";
import type { Observation, ServerEnvironment } from "../../index.js";

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

/** A folder for what the server makes for itself; never on the shared volume. */
export function tempFolder(): string {
  return leadsToVolume(tmpdir()) ? "/tmp" : tmpdir();
}

/**
 * This environment for a program that reads what lies in its HOME, with nothing in it that leads to the shared volume,
 * where agents write: a HOME there becomes this folder, and a program there is not found.
 */
export function environmentOffVolume(home: string): NodeJS.ProcessEnv {
  const { HOME = "", PATH = "", ...others } = process.env;
  const kept = Object.entries(others).filter(([, value]) => value && !leadsToVolume(value));
  const folders = PATH.split(delimiter).filter((folder) => folder.startsWith("/") && !leadsToVolume(folder));
  return {
    ...Object.fromEntries(kept),
    PATH: folders.join(delimiter),
    HOME: HOME && !leadsToVolume(HOME) ? HOME : home,
    OPENCODE_DISABLE_PROJECT_CONFIG: "true",
    OPENCODE_DISABLE_AUTOUPDATE: "true",
  };
}

/** Whether a text has a path of the shared volume in it, also among others. */
function leadsToVolume(text: string): boolean {
  const roots = [DEFAULT_DATA_ROOT, readServerEnvironment().dataRoot ?? DEFAULT_DATA_ROOT];
  return roots.some((root) => text.includes(root.replace(/\/+$/, "")));
}

/** Whether output of this process goes to a terminal that wants colours. */
export function terminalHasColours(): boolean {
  return process.stdout.isTTY === true && !process.env["NO_COLOR"];
}
