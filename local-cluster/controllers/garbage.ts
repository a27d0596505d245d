/**
 * The garbage collector: objects whose owners are all gone are deleted; deletes that wait by finalizer (foreground,
 * orphan) are brought to their end.
 */

import type { KubeObject } from "../objects.js";
import { RESOURCES } from "../api/resources.js";
import { deleteObject, FOREGROUND, isOwnedBy, ORPHAN } from "../store/deletion.js";
import type { Change, Store } from "../store/store.js";
import { WorkQueue } from "../store/work-queue.js";

export class GarbageCollector {
  readonly queue = new WorkQueue(() => this.#sweep());
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    store.onChange((change) => this.#notice(change));
  }

  #notice({ type, object }: Change): void {
    const { ownerReferences, deletionTimestamp, finalizers } = object.metadata;
    const waiting = deletionTimestamp !== undefined && (finalizers?.length ?? 0) > 0;
    if (type === "DELETED" || waiting || (type === "ADDED" && ownerReferences?.length)) this.queue.add("sweep");
  }

  #sweep(): void {
    const objects = [...this.#store.all()];
    const byUid = new Map(objects.map(([, object]) => [object.metadata.uid, object]));
    for (const [resource, object] of objects) {
      const held = object.metadata.deletionTimestamp ? (object.metadata.finalizers ?? []) : [];
      if (held.includes(ORPHAN)) this.#orphan(resource, object, objects);
      else if (held.includes(FOREGROUND) && !objects.some(([, other]) => isOwnedBy(other, object.metadata.uid))) {
        this.#release(resource, object, FOREGROUND);
      }
    }
    for (const [resource, object] of objects) this.#collect(resource, object, byUid);
  }

  #collect(resource: string, object: KubeObject, byUid: Map<string, KubeObject>): void {
    const { namespace, name } = object.metadata;
    // As it is now: orphaning above may just have freed it.
    const current = this.#store.get(resource, namespace, name);
    const owners = current?.metadata.ownerReferences ?? [];
    if (!current || owners.length === 0 || current.metadata.deletionTimestamp) return;
    const present = owners.filter(({ uid }) => byUid.has(uid));
    const inForeground = present.filter(
      ({ uid }) =>
        byUid.get(uid)!.metadata.finalizers?.includes(FOREGROUND) && byUid.get(uid)!.metadata.deletionTimestamp,
    );
    if (inForeground.length === present.length) {
      const propagationPolicy = inForeground.length > 0 ? "Foreground" : "Background";
      deleteObject(this.#store, RESOURCES[resource]!, namespace, name, { propagationPolicy });
    } else if (present.length < owners.length) {
      this.#store.modify(resource, namespace, name, (draft: KubeObject) => {
        draft.metadata.ownerReferences = present;
      });
    }
  }

  #orphan(resource: string, owner: KubeObject, objects: [string, KubeObject][]): void {
    const { uid } = owner.metadata;
    for (const [kind, object] of objects) {
      if (!isOwnedBy(object, uid)) continue;
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
