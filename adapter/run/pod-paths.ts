/** Paths of the shared volume as agents' pods see them: the server may have mounted it elsewhere. */
import type { Fields } from "../host/fields.js";
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

function translateKeys(record: Fields, keys: readonly string[], dataRoot: string): Fields {
  const present = keys.filter((key) => record[key] !== undefined);
  const copies: Copies = new Map();
  return { ...record, ...Object.fromEntries(present.map((key) => [key, translate(record[key], dataRoot, copies, 0)])) };
}

/** The copy of each object that was met: the host's objects may refer to each other, and to themselves. */
type Copies = Map<object, unknown>;

/** What is deeper is left as it is: the addon refuses it in words. */
const MAX_DEPTH = 200;

function translate(value: unknown, dataRoot: string, copies: Copies, depth: number): unknown {
  if (typeof value === "string") return inPod(value, dataRoot);
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return value;
  if (copies.has(value)) return copies.get(value);
  const isList = Array.isArray(value);
  if (!isList && Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copy: object = isList ? [] : {};
  copies.set(value, copy);
  for (const [key, item] of Object.entries(value)) {
    // Assignment would not keep a key named `__proto__` a key.
    const translated = translate(item, dataRoot, copies, depth + 1);
    Object.defineProperty(copy, key, { value: translated, enumerable: true, writable: true, configurable: true });
  }
  return copy;
}

function inPod(path: string, dataRoot: string): string {
  const isInside = path === dataRoot || path.startsWith(`${dataRoot}/`);
  return isInside ? DEFAULT_DATA_ROOT + path.slice(dataRoot.length) : path;
}
