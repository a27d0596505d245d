/** Whether a pod can be bound to the one node, and if not, why: in the scheduler's words. */

import type { Pod } from "../objects.js";
import type { Faults } from "../faults/registry.js";
import type { Store } from "../store/store.js";

export const NODE_NAME = "local-node";

const NODE_LABELS: Record<string, string> = {
  "kubernetes.io/hostname": NODE_NAME,
  "kubernetes.io/os": "linux",
  "kubernetes.io/arch": process.arch === "x64" ? "amd64" : process.arch,
};

const none = (why: string): string => `0/1 nodes are available: ${why}`;
const PREEMPTION = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

/** Undefined when the pod fits. */
export function unschedulable(store: Store, faults: Faults, pod: Pod): string | undefined {
  const { name, namespace } = pod.metadata;
  const fault = faults.forPod("unschedulable", name);
  if (fault) return fault.message ?? none(`1 Insufficient cpu. ${PREEMPTION}`);
  for (const volume of pod.spec.volumes ?? []) {
    const claimName = volume.persistentVolumeClaim?.claimName;
    if (claimName === undefined) continue;
    const claim = store.get("persistentvolumeclaims", namespace, claimName);
    if (!claim) return none(`persistentvolumeclaim "${claimName}" not found. ${PREEMPTION}`);
    if (claim.status?.phase !== "Bound") return none(`pod has unbound immediate PersistentVolumeClaims. ${PREEMPTION}`);
  }
  const wanted = Object.entries(pod.spec.nodeSelector ?? {});
  if (wanted.some(([key, value]) => NODE_LABELS[key] !== value)) {
    return none(`1 node(s) didn't match Pod's node affinity/selector. ${PREEMPTION}`);
  }
  return undefined;
}
