/** Finds objects by uid, by owner and by label without a look at all of them: a cluster may have 10,000 runs. */

import type { KubeObject } from "../objects.js";

/** An object and the resource that it is of, such as `pods`. */
export type Entry = [resource: string, object: KubeObject];

export class IndexOfObjects {
  #byUid = new Map<string, Entry>();
  #byOwner = new Map<string, Set<string>>();
  #byLabel = new Map<string, Set<string>>();

  /** Takes note of an object in its new state: of none when it is gone. */
  replace(resource: string, previous: KubeObject | undefined, next: KubeObject | undefined): void {
    if (previous) {
      const { uid } = previous.metadata;
      this.#byUid.delete(uid);
      for (const [sets, key] of this.#keysOf(resource, previous)) {
        const uids = sets.get(key);
        uids?.delete(uid);
        if (uids?.size === 0) sets.delete(key);
      }
    }
    if (next) {
      const { uid } = next.metadata;
      this.#byUid.set(uid, [resource, next]);
      for (const [sets, key] of this.#keysOf(resource, next)) {
        const uids = sets.get(key);
        if (uids) uids.add(uid);
        else sets.set(key, new Set([uid]));
      }
    }
  }

  withUid(uid: string): Entry | undefined {
    return this.#byUid.get(uid);
  }

  ownedBy(uid: string): Entry[] {
    return this.#entries(this.#byOwner.get(uid));
  }

  /** Those that may have all of these labels: the fewest that have one of them. */
  withLabels(resource: string, labels: [string, string][]): KubeObject[] {
    const sets = labels.map(([key, value]) => this.#byLabel.get(labelKey(resource, key, value)) ?? new Set<string>());
    const [fewest] = sets.sort((a, b) => a.size - b.size);
    return this.#entries(fewest).map(([, object]) => object);
  }

  #entries(uids: Set<string> = new Set()): Entry[] {
    return [...uids].map((uid) => this.#byUid.get(uid)!);
  }

  *#keysOf(resource: string, { metadata }: KubeObject): Generator<[Map<string, Set<string>>, string]> {
    for (const { uid } of metadata.ownerReferences ?? []) yield [this.#byOwner, uid];
    for (const [key, value] of Object.entries(metadata.labels ?? {}))
      yield [this.#byLabel, labelKey(resource, key, value)];
  }
}

const labelKey = (resource: string, key: string, value: string): string => `${resource}/${key}=${value}`;
