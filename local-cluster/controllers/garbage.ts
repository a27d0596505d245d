/**
 * The garbage collector: objects whose owners are all gone are deleted; deletes that wait by finalizer (foreground,
 * orphan) are brought to their end.
 */

import type { KubeObject } from "../objects.js";
import { RESOURCES } from "../api/resources.js";
import { deleteObject, FOREGROUND, ORPHAN } from "../store/deletion.js";
import type { Change, Store } from "../store/store.js";
import { WorkQueue } from "../store/work-queue.js";

export class GarbageCollector {
  /** Uids of objects that something may have to be done about. */
  readonly queue = new WorkQueue((uid) => this.#look(uid));
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    store.onChange((change) => this.#notice(change));
  }

  #notice({ type, object }: Change): void {
    const { uid, ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata;
    if (type === "DELETED") {
      // Its dependents may have no owner any more, and its owners may have waited for it.
      for (const [, { metadata }] of this.#store.ownedBy(uid)) this.queue.add(metadata.uid);
      for (const owner of ownerReferences) this.queue.add(owner.uid);
    } else if ((deletionTimestamp && finalizers.length > 0) || (type === "ADDED" && ownerReferences.length > 0)) {
      this.queue.add(uid);
    }
  }

  #look(uid: string): void {
    const [resource, object] = this.#store.withUid(uid) ?? [];
    if (!resource || !object) return;
    const held = object.metadata.deletionTimestamp ? (object.metadata.finalizers ?? []) : [];
    if (held.includes(ORPHAN)) this.#orphan(resource, object);
    else if (held.includes(FOREGROUND)) {
      const dependents = this.#store.ownedBy(uid);
      if (dependents.length === 0) this.#release(resource, object, FOREGROUND);
      for (const [kind, dependent] of dependents) this.#collect(kind, dependent);
    }
    this.#collect(resource, object);
  }

  #collect(resource: string, object: KubeObject): void {
    const { namespace, name } = object.metadata;
    // As it is now: orphaning above may just have freed it.
    const current = this.#store.get(resource, namespace, name);
    const owners = current?.metadata.ownerReferences ?? [];
    if (!current || owners.length === 0 || current.metadata.deletionTimestamp) return;
    const present = owners.filter(({ uid }) => this.#store.withUid(uid));
    const inForeground = present.filter(({ uid }) => {
      const { finalizers, deletionTimestamp } = this.#store.withUid(uid)![1].metadata;
      return deletionTimestamp && finalizers?.includes(FOREGROUND);
    });
    if (inForeground.length === present.length) {
      const propagationPolicy = inForeground.length > 0 ? "Foreground" : "Background";
      deleteObject(this.#store, RESOURCES[resource]!, namespace, name, { propagationPolicy });
    } else if (present.length < owners.length) {
      this.#store.modify(resource, namespace, name, (draft: KubeObject) => {
        draft.metadata.ownerReferences = present;
      });
    }
  }

  #orphan(resource: string, owner: KubeObject): void {
    const { uid } = owner.metadata;
    for (const [kind, object] of this.#store.ownedBy(uid)) {
      this.#store.modify(kind, object.metadata.namespace, object.metadata.name, (draft: KubeObject) => {
        const left = draft.metadata.ownerReferences!.filter((reference) => reference.uid !== uid);
        if (left.length > 0) draft.metadata.ownerReferences = left;
        else delete draft.metadata.ownerReferences;
      });
    }
    this.#release(resource, owner, ORPHAN);
  }

  #release(resource: string, object: KubeObject, finalizer: string): void {
    this.#store.modify(resource, object.metadata.namespace, object.metadata.name, (draft: KubeObject) => {
      draft.metadata.finalizers = draft.metadata.finalizers!.filter((held) => held !== finalizer);
    });
  }
}
