/** Binds PersistentVolumeClaims at once when their storage class has volumes; one of another class stays Pending. */

import type { KubeObject } from "../objects.js";
import type { Change, Store } from "../store/store.js";
import { WorkQueue } from "../store/work-queue.js";

export class ClaimController {
  readonly queue = new WorkQueue((key) => this.#bind(key));
  readonly #store: Store;
  readonly #classes: string[];

  constructor(store: Store, classes: string[]) {
    this.#store = store;
    this.#classes = classes;
    store.onChange(({ type, resource, object }: Change) => {
      if (resource === "persistentvolumeclaims" && type === "ADDED")
        this.queue.add(`${object.metadata.namespace}/${object.metadata.name}`);
    });
  }

  #bind(key: string): void {
    const [namespace, name] = key.split("/") as [string, string];
    this.#store.modify("persistentvolumeclaims", namespace, name, (claim: KubeObject) => {
      // No class means the default one; "" asks for a volume made by hand. Both exist here.
      if (claim.spec.storageClassName && !this.#classes.includes(claim.spec.storageClassName)) return;
      claim.spec.volumeName ??= `pvc-${claim.metadata.uid}`;
      claim.status = {
        phase: "Bound",
        accessModes: claim.spec.accessModes,
        capacity: { storage: claim.spec.resources?.requests?.storage ?? "1Gi" },
      };
    });
  }
}
