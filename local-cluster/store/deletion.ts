/**
 * How an object goes away: pods gracefully (the kubelet finishes it), owners with their dependents in the background,
 * in the foreground or not at all, by finalizers that the garbage collector takes off.
 */

import type { KubeObject, Pod } from "../objects.js";
import { timestamp } from "../objects.js";
import type { Resource } from "../api/resources.js";
import { badRequest, conflict, notFound } from "../api/status.js";
import type { Store } from "./store.js";

export const ORPHAN = "orphan";
export const FOREGROUND = "foregroundDeletion";

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  orphanDependents?: boolean;
  preconditions?: { uid?: string; resourceVersion?: string };
}

export interface Deleted {
  object: KubeObject;
  /** False while finalizers or the kubelet still hold it. */
  gone: boolean;
}

export function deleteObject(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  name: string,
  options: DeleteOptions = {},
): Deleted {
  const object = store.get(resource.plural, namespace, name);
  if (!object) throw notFound(resource, name);
  checkPreconditions(resource, object, options);
  if (resource.plural === "pods") return deletePod(store, object as Pod, options.gracePeriodSeconds);

  const finalizers = new Set(object.metadata.finalizers ?? []);
  const policy = propagation(resource, options);
  if (policy === "Foreground") finalizers.add(FOREGROUND);
  else if (policy === "Orphan" && store.ownedBy(object.metadata.uid).length > 0) finalizers.add(ORPHAN);
  if (finalizers.size === 0) return { object: store.remove(resource.plural, namespace, name)!, gone: true };
  const held = store.modify(resource.plural, namespace, name, (draft: KubeObject) => {
    draft.metadata.finalizers = [...finalizers];
    draft.metadata.deletionTimestamp ??= timestamp();
    draft.metadata.deletionGracePeriodSeconds ??= 0;
  })!;
  return { object: held, gone: false };
}

function deletePod(store: Store, pod: Pod, asked: number | undefined): Deleted {
  const { namespace, name } = pod.metadata;
  const ended = pod.status.phase === "Succeeded" || pod.status.phase === "Failed";
  // A pod that no node has, or that has ended, needs no grace.
  const grace = !pod.spec.nodeName || ended ? 0 : (asked ?? pod.spec.terminationGracePeriodSeconds ?? 30);
  const held = store.modify("pods", namespace, name, (draft: Pod) => {
    const already = draft.metadata.deletionGracePeriodSeconds;
    // A second delete can only shorten the grace period.
    if (draft.metadata.deletionTimestamp && already !== undefined && already <= grace) return;
    draft.metadata.deletionTimestamp = timestamp(new Date(Date.now() + grace * 1000));
    draft.metadata.deletionGracePeriodSeconds = grace;
  })!;
  // Watches see the mark also when the object goes at once.
  if (grace === 0 && !pod.metadata.finalizers?.length)
    return { object: store.remove("pods", namespace, name)!, gone: true };
  return { object: held, gone: false };
}

function propagation(resource: Resource, options: DeleteOptions): string {
  const policy = options.propagationPolicy;
  if (policy && !["Background", "Foreground", "Orphan"].includes(policy)) {
    throw badRequest(
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "${policy}": ` +
        'supported values: "Foreground", "Background", "Orphan", "nil"',
    );
  }
  if (policy) return policy;
  if (options.orphanDependents !== undefined) return options.orphanDependents ? "Orphan" : "Background";
  return resource.defaultPropagation;
}

function checkPreconditions(resource: Resource, object: KubeObject, { preconditions }: DeleteOptions): void {
  const { name, uid, resourceVersion } = object.metadata;
  if (preconditions?.uid && preconditions.uid !== uid) {
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`,
    );
  }
  if (preconditions?.resourceVersion && preconditions.resourceVersion !== resourceVersion) {
    throw conflict(
      resource,
      name,
      `Precondition failed: ResourceVersion in precondition: ${preconditions.resourceVersion}, ` +
        `ResourceVersion in object meta: ${resourceVersion}`,
    );
  }
}
