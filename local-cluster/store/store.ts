/**
 * What etcd and the watch cache are to a real cluster: the objects, one revision counter for all of them, and the
 * history of changes that watches resume from. Objects handed out are shared: change them only through `modify`.
 */

import { randomUUID } from "node:crypto";
import type { KubeObject } from "../objects.js";
import { generatedName, timestamp } from "../objects.js";
import { RESOURCES } from "../api/resources.js";
import { alreadyExists } from "../api/status.js";
import { type Entry, IndexOfObjects } from "./index-of-objects.js";

export interface Change {
  type: "ADDED" | "MODIFIED" | "DELETED";
  resource: string;
  revision: number;
  object: KubeObject;
  /** The object before the change: a watch with a selector must know whether it matched then. */
  previous?: KubeObject;
}

type Listener = (change: Change) => void;

const HISTORY = 20_000;

export class Store {
  #revision = 1000;
  #compacted = 1000;
  #tables = new Map<string, Map<string, KubeObject>>();
  #index = new IndexOfObjects();
  #history: Change[] = [];
  #listeners = new Set<Listener>();

  get revision(): number {
    return this.#revision;
  }

  /** Revisions up to this one can no longer be watched from. */
  get compacted(): number {
    return this.#compacted;
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#table(resource).get(key(namespace, name));
  }

  /** All of a kind; with labels, those that may have all of them. */
  list(resource: string, namespace?: string, labels: [string, string][] = []): KubeObject[] {
    const found = labels.length > 0 ? this.#index.withLabels(resource, labels) : [...this.#table(resource).values()];
    return namespace === undefined ? found : found.filter((object) => object.metadata.namespace === namespace);
  }

  withUid(uid: string): Entry | undefined {
    return this.#index.withUid(uid);
  }

  ownedBy(uid: string): Entry[] {
    return this.#index.ownedBy(uid);
  }

  /** Stores a new object; the server's own metadata fields are set here, whatever the client sent in them. */
  create(resource: string, object: KubeObject): KubeObject {
    const created = Store.stamp(resource, object);
    const { namespace, name } = created.metadata;
    const table = this.#table(resource);
    if (table.has(key(namespace, name))) throw alreadyExists(RESOURCES[resource]!, name);
    created.metadata.resourceVersion = String(++this.#revision);
    table.set(key(namespace, name), created);
    this.#index.replace(resource, undefined, created);
    this.#announce({ type: "ADDED", resource, revision: this.#revision, object: created });
    return created;
  }

  /** The object as `create` would store it (what a dry run answers). */
  static stamp(resource: string, object: KubeObject): KubeObject {
    const created = structuredClone(object);
    const metadata = created.metadata;
    if (!metadata.name && metadata.generateName) metadata.name = generatedName(metadata.generateName);
    metadata.uid ||= randomUUID();
    metadata.creationTimestamp = timestamp();
    if (resource === "jobs") metadata.generation = 1;
    delete metadata.deletionTimestamp;
    delete metadata.deletionGracePeriodSeconds;
    return created;
  }

  /** Changes an object; a change that changes nothing makes no new revision, as in the API server. */
  modify(
    resource: string,
    namespace: string | undefined,
    name: string,
    change: (draft: any) => void,
  ): KubeObject | undefined {
    const table = this.#table(resource);
    const previous = table.get(key(namespace, name));
    if (!previous) return undefined;
    const next = structuredClone(previous);
    change(next);
    if (textOf(next) === textOf(previous)) return previous;
    if (next.metadata.deletionTimestamp && !next.metadata.finalizers?.length && previous.metadata.finalizers?.length) {
      // The last finalizer is gone: the delete that waited for it happens now.
      if (resource !== "pods") return this.remove(resource, namespace, name);
    }
    if (previous.metadata.generation !== undefined && JSON.stringify(next.spec) !== JSON.stringify(previous.spec)) {
      next.metadata.generation = previous.metadata.generation + 1;
    }
    next.metadata.resourceVersion = String(++this.#revision);
    texts.delete(next);
    table.set(key(namespace, name), next);
    this.#index.replace(resource, previous, next);
    this.#announce({ type: "MODIFIED", resource, revision: this.#revision, object: next, previous });
    return next;
  }

  remove(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const table = this.#table(resource);
    const previous = table.get(key(namespace, name));
    if (!previous) return undefined;
    table.delete(key(namespace, name));
    this.#index.replace(resource, previous, undefined);
    // The last event of an object carries the revision of its deletion: a watch resumes after it.
    const object = { ...previous, metadata: { ...previous.metadata, resourceVersion: String(++this.#revision) } };
    this.#announce({ type: "DELETED", resource, revision: this.#revision, object, previous });
    return object;
  }

  /** The changes after a revision, or undefined when some of them are compacted away. */
  since(revision: number): Change[] | undefined {
    if (revision < this.#compacted) return undefined;
    return this.#history.filter((change) => change.revision > revision);
  }

  /** Forgets the history, so that going on from any older revision answers 410. The newest revision moves too. */
  compact(): void {
    this.#compacted = ++this.#revision;
    this.#history = [];
  }

  /** Listeners run inside the change: they may take notes and write to sockets, but must not change the store. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #announce(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > HISTORY) {
      const dropped = this.#history.splice(0, HISTORY / 2);
      this.#compacted = dropped.at(-1)!.revision;
    }
    for (const listener of [...this.#listeners]) listener(change);
  }

  #table(resource: string): Map<string, KubeObject> {
    let table = this.#tables.get(resource);
    if (!table) {
      table = new Map();
      this.#tables.set(resource, table);
    }
    return table;
  }
}

// Every watcher of an object writes the same text, and every change is compared with it: it is made once.
const texts = new WeakMap<KubeObject, string>();

/** The JSON of an object that is stored. */
export function textOf(object: KubeObject): string {
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    texts.set(object, text);
  }
  return text;
}

const key = (namespace: string | undefined, name: string): string => `${namespace ?? ""}/${name}`;
