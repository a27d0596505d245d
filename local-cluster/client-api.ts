/** The administrator's view of the cluster: kubectl's verbs as functions, and waiting by watch. */

import { RESOURCES } from "./api/resources.js";
import type { Status } from "./api/status.js";
import type { KubeObject } from "./objects.js";

export interface Query {
  labelSelector?: string;
  fieldSelector?: string;
  /** Of a watch: every change after this version, of whatever kind of object it is. */
  resourceVersion?: string;
}

export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED";
  object: KubeObject;
}

/** Resources by their plural: `jobs`, `pods`, `secrets`, `persistentvolumeclaims`, `configmaps`, `namespaces`. */
export interface KubeClient {
  create(resource: string, object: object): Promise<KubeObject>;
  get(resource: string, name: string): Promise<KubeObject>;
  list(resource: string, query?: Query): Promise<KubeObject[]>;
  /** The same as `list` without a query. */
  objects(resource: string): Promise<KubeObject[]>;
  /** `force` is grace period 0; dependents go in the background by default, as with kubectl. */
  delete(resource: string, name: string, options?: { force?: boolean; propagationPolicy?: string }): Promise<void>;
  /** A merge patch; of the status with `subresource`. */
  patch(resource: string, name: string, patch: object, subresource?: "status"): Promise<KubeObject>;
  /** The first list of objects that satisfies the predicate, learnt by watching; given up after three minutes. */
  waitFor(resource: string, predicate: (objects: KubeObject[]) => boolean, timeoutMs?: number): Promise<KubeObject[]>;
  /**
   * What there is, then every change, until the returned function is called or the connection ends; `ended` is told
   * either way.
   */
  watch(resource: string, listener: (event: WatchEvent) => void, query?: Query, ended?: () => void): () => void;
}

/** A `Status` of the API server as an error. */
export class KubeError extends Error {
  readonly status: Status;
  readonly code: number;
  readonly reason: string;

  constructor(status: Status) {
    super(status.message ?? `HTTP ${status.code}`);
    this.status = status;
    this.code = status.code;
    this.reason = status.reason ?? "";
  }
}

export function connect(url: string, token: string, namespace: string): KubeClient {
  const path = (resource: string, name = "", subresource = ""): string => {
    const known = RESOURCES[resource];
    if (!known) throw new Error(`unknown resource ${resource}`);
    const base = known.group ? `/apis/${known.group}/v1` : "/api/v1";
    const scope = known.namespaced ? `/namespaces/${namespace}` : "";
    return `${base}${scope}/${resource}${name && `/${name}`}${subresource && `/${subresource}`}`;
  };
  const send = (method: string, target: string, call?: Call): Promise<Response> =>
    request(url + target, token, method, call);
  const call = async (...args: Parameters<typeof send>): Promise<any> => (await send(...args)).json();
  const collection = (resource: string, query: Query = {}): Promise<any> =>
    call("GET", `${path(resource)}?${new URLSearchParams({ ...query })}`);

  return {
    create: (resource, object) => call("POST", path(resource), { body: object }),
    get: (resource, name) => call("GET", path(resource, name)),
    list: async (resource, query) => (await collection(resource, query)).items,
    objects: async (resource) => (await collection(resource)).items,
    async delete(resource, name, { force, propagationPolicy = "Background" } = {}) {
      await call("DELETE", path(resource, name), {
        body: { propagationPolicy, ...(force ? { gracePeriodSeconds: 0 } : {}) },
      });
    },
    patch: (resource, name, patch, subresource) =>
      call("PATCH", path(resource, name, subresource), { body: patch, type: "application/merge-patch+json" }),
    async waitFor(resource, predicate, timeoutMs = 180_000) {
      const list = await collection(resource);
      const objects = new Map<string, KubeObject>(list.items.map((item: KubeObject) => [item.metadata.uid, item]));
      if (predicate([...objects.values()])) return [...objects.values()];
      const aborted = new AbortController();
      const timer = setTimeout(() => aborted.abort(), timeoutMs);
      try {
        const response = await send(
          "GET",
          `${path(resource)}?watch=true&resourceVersion=${list.metadata.resourceVersion}`,
          { signal: aborted.signal },
        );
        for await (const { type, object } of lines(response.body!)) {
          if (type === "DELETED") objects.delete(object.metadata.uid);
          else objects.set(object.metadata.uid, object);
          if (predicate([...objects.values()])) return [...objects.values()];
        }
        throw new Error(`the watch of ${resource} ended`);
      } catch (error) {
        if (!aborted.signal.aborted) throw error;
        const now = [...objects.values()].map(({ metadata: { name }, status }) => ({ name, status }));
        throw new Error(`waited ${timeoutMs} ms in vain; ${resource} now: ${JSON.stringify(now)}`);
      } finally {
        clearTimeout(timer);
        aborted.abort();
      }
    },
    watch(resource, listener, query = {}, ended = () => {}) {
      const aborted = new AbortController();
      const follow = async (): Promise<void> => {
        const response = await send("GET", `${path(resource)}?${new URLSearchParams({ ...query, watch: "true" })}`, {
          signal: aborted.signal,
        });
        for await (const event of lines(response.body!)) listener(event);
      };
      // It ends with the connection: the cluster went down, or the caller has seen enough.
      void follow().then(ended, ended);
      return () => aborted.abort();
    },
  };
}

interface Call {
  body?: object;
  type?: string;
  signal?: AbortSignal;
}

async function request(url: string, token: string, method: string, call: Call = {}): Promise<Response> {
  const init: RequestInit = {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": call.type ?? "application/json" },
  };
  if (call.body) init.body = JSON.stringify(call.body);
  if (call.signal) init.signal = call.signal;
  const response = await fetch(url, init);
  if (!response.ok) throw new KubeError((await response.json()) as Status);
  return response;
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<WatchEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    for (const line of parts) yield JSON.parse(line);
  }
}
