/** What each verb does to the store. HTTP, accounts and faults are one floor up, in `server.ts`. */

import type { KubeObject } from "../objects.js";
import { deleteObject, type DeleteOptions } from "../store/deletion.js";
import { Store } from "../store/store.js";
import { admit, checkUpdate } from "../validation/admit.js";
import { applyPatch } from "./patch.js";
import type { Resource, Target } from "./resources.js";
import { labelsWithOneValue, fieldSelector, labelSelector, type Predicate } from "./selectors.js";
import { ApiError, badRequest, conflict, expired, notFound } from "./status.js";

export interface Answer {
  code: number;
  body: object;
  /** Sent in `Warning` headers. */
  warnings?: string[];
}

const versionOf = ({ group, version }: Resource): string => (group ? `${group}/${version}` : version);

/** Whether an object is what the request's label and field selectors ask for. */
export function selectorTest(resource: Resource, query: URLSearchParams): Predicate {
  const byLabel = labelSelector(query.get("labelSelector"));
  const byField = fieldSelector(query.get("fieldSelector"), resource.kind);
  return (object) => byLabel(object) && byField(object);
}

export class Verbs {
  readonly #store: Store;
  readonly #mutate: (resource: Resource, object: KubeObject) => void;
  // What a `continue` token stands for: the rest of one consistent list.
  #rests = new Map<string, { items: KubeObject[]; revision: number }>();

  /** `mutate` is the place of mutating admission webhooks. */
  constructor(store: Store, mutate: (resource: Resource, object: KubeObject) => void) {
    this.#store = store;
    this.#mutate = mutate;
  }

  get(resource: Resource, { namespace, name }: Target): Answer {
    const object = this.#store.get(resource.plural, namespace, name!);
    if (!object) throw notFound(resource, name!);
    return { code: 200, body: object };
  }

  list(resource: Resource, { namespace }: Target, query: URLSearchParams): Answer {
    const token = query.get("continue");
    let revision = this.#store.revision;
    let items: KubeObject[];
    if (token) {
      const rest = this.#rests.get(token);
      if (!rest || rest.revision < this.#store.compacted) {
        throw expired(
          "The provided continue parameter is too old to display a consistent list result. " +
            "You can start a new list without the continue parameter.",
        );
      }
      ({ items, revision } = rest);
    } else {
      items = this.#selected(resource, namespace, query);
      items.sort((a, b) => order(a).localeCompare(order(b)));
    }
    const limit = Number(query.get("limit") ?? 0);
    if (!Number.isInteger(limit)) throw badRequest(`strconv.ParseInt: parsing "${query.get("limit")}": invalid syntax`);
    const metadata: Record<string, unknown> = { resourceVersion: String(revision) };
    if (limit > 0 && items.length > limit) {
      metadata.continue = this.#keep(items.slice(limit), revision);
      if (!query.get("labelSelector") && !query.get("fieldSelector"))
        metadata.remainingItemCount = items.length - limit;
      items = items.slice(0, limit);
    }
    return { code: 200, body: { kind: `${resource.kind}List`, apiVersion: versionOf(resource), metadata, items } };
  }

  create(resource: Resource, target: Target, body: unknown, query: URLSearchParams): Answer {
    if (target.namespace !== undefined && !this.#store.get("namespaces", undefined, target.namespace)) {
      throw new ApiError(404, "NotFound", `namespaces "${target.namespace}" not found`, {
        name: target.namespace,
        kind: "namespaces",
      });
    }
    const warnings: string[] = [];
    const object = admit(resource, target.namespace, body, (fields) => {
      const messages = fields.map((field) => `unknown field "${field}"`);
      if (query.get("fieldValidation") === "Strict") {
        throw badRequest(
          `${resource.kind} in version "v1" cannot be handled as a ${resource.kind}: ` +
            `strict decoding error: ${messages.join(", ")}`,
        );
      }
      if (query.get("fieldValidation") !== "Ignore") warnings.push(...messages);
    });
    this.#mutate(resource, object);
    if (query.get("dryRun") === "All") return { code: 201, body: Store.stamp(resource.plural, object), warnings };
    return { code: 201, body: this.#store.create(resource.plural, object), warnings };
  }

  patch(resource: Resource, target: Target, body: unknown, query: URLSearchParams, contentType: string): Answer {
    return this.#change(resource, target, query, (current) => applyPatch(contentType, current, body));
  }

  update(resource: Resource, target: Target, body: any, query: URLSearchParams): Answer {
    return this.#change(resource, target, query, (current) => {
      if (!body?.metadata) throw badRequest("the object provided has no metadata");
      return target.subresource === "status"
        ? { ...current, status: body.status }
        : { ...body, status: current.status };
    });
  }

  delete(resource: Resource, { namespace, name }: Target, body: any, query: URLSearchParams): Answer {
    const { object, gone } = deleteObject(this.#store, resource, namespace, name!, deleteOptions(body, query));
    if (!gone || resource.plural === "pods") return { code: 200, body: object };
    const { uid } = object.metadata;
    const details = { name, ...(resource.group ? { group: resource.group } : {}), kind: resource.plural, uid };
    return { code: 200, body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details } };
  }

  deleteCollection(resource: Resource, { namespace }: Target, body: any, query: URLSearchParams): Answer {
    const items = this.#selected(resource, namespace, query);
    for (const { metadata } of items) {
      deleteObject(this.#store, resource, metadata.namespace, metadata.name, deleteOptions(body, query));
    }
    const metadata = { resourceVersion: String(this.#store.revision) };
    return { code: 200, body: { kind: `${resource.kind}List`, apiVersion: versionOf(resource), metadata, items } };
  }

  #change(
    resource: Resource,
    target: Target,
    query: URLSearchParams,
    make: (current: KubeObject) => KubeObject,
  ): Answer {
    const { namespace, name } = target;
    const current = this.#store.get(resource.plural, namespace, name!);
    if (!current) throw notFound(resource, name!);
    const wanted = make(structuredClone(current));
    const asked = wanted.metadata?.resourceVersion;
    if (asked && asked !== current.metadata.resourceVersion) {
      throw conflict(
        resource,
        name!,
        "the object has been modified; please apply your changes to the latest version and try again",
      );
    }
    const next = checkUpdate(resource, current, wanted, target.subresource);
    if (query.get("dryRun") === "All") return { code: 200, body: next };
    const stored = this.#store.modify(resource.plural, namespace, name!, (draft) => {
      for (const field of Object.keys(draft)) delete draft[field];
      Object.assign(draft, structuredClone(next));
    });
    return { code: 200, body: stored! };
  }

  #selected(resource: Resource, namespace: string | undefined, query: URLSearchParams): KubeObject[] {
    const matches = selectorTest(resource, query);
    return this.#store.list(resource.plural, namespace, labelsWithOneValue(query.get("labelSelector"))).filter(matches);
  }

  #keep(items: KubeObject[], revision: number): string {
    const token = Buffer.from(
      JSON.stringify({ v: "meta.k8s.io/v1", rv: revision, start: `${order(items[0]!)}\u0000`, n: this.#rests.size }),
    ).toString("base64url");
    this.#rests.set(token, { items, revision });
    if (this.#rests.size > 200) this.#rests.delete(this.#rests.keys().next().value!);
    return token;
  }
}

const order = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;

function deleteOptions(body: any, query: URLSearchParams): DeleteOptions {
  const options: DeleteOptions = { ...(body ?? {}) };
  const policy = query.get("propagationPolicy");
  const grace = query.get("gracePeriodSeconds");
  if (policy) options.propagationPolicy = policy;
  if (grace) options.gracePeriodSeconds = Number(grace);
  return options;
}
