/** Paths of the shared volume as agents' pods see them: the server may have mounted it elsewhere. */
import { DEFAULT_DATA_ROOT, dataRootOf } from "../host/environment.js";
import type { RunRequest } from "./request.js";

/** Where the host puts paths of its own in a run's context. */
const CONTEXT_KEYS = ["paperclipWorkspace", "paperclipWorkspaces"] as const;

/** Paths of the server in an agent's configuration that reach the pod as they are. */
const CONFIG_KEYS = ["cwd", "instructionsRootPath"] as const;

/** The request with the workspaces' paths as the pod sees them; paths outside of the volume stay. */
export function withPodPaths<Request extends Pick<RunRequest, "config" | "context">>(request: Request): Request {
  const dataRoot = dataRootOf(request.config).replace(/\/+$/, "");
  if (dataRoot === DEFAULT_DATA_ROOT) return request;
  return {
    ...request,
    config: translateKeys(request.config, CONFIG_KEYS, dataRoot),
    context: translateKeys(request.context, CONTEXT_KEYS, dataRoot),
  };
}

function translateKeys(
  record: Record<string, unknown>,
  keys: readonly string[],
  dataRoot: string,
): Record<string, unknown> {
  const present = keys.filter((key) => record[key] !== undefined);
  return { ...record, ...Object.fromEntries(present.map((key) => [key, translate(record[key], dataRoot)])) };
}

function translate(value: unknown, dataRoot: string): unknown {
  if (typeof value === "string") return inPod(value, dataRoot);
  if (Array.isArray(value)) return value.map((item) => translate(item, dataRoot));
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, translate(item, dataRoot)]));
}

function inPod(path: string, dataRoot: string): string {
  const isInside = path === dataRoot || path.startsWith(`${dataRoot}/`);
  return isInside ? DEFAULT_DATA_ROOT + path.slice(dataRoot.length) : path;
}
