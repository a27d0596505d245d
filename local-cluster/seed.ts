/** What is in the cluster from the start: the namespace, the shared claim and the server's own pod. */

import type { KubeObject, Pod } from "./objects.js";
import { timestamp } from "./objects.js";
import { applyPatch } from "./api/patch.js";
import { RESOURCES } from "./api/resources.js";
import type { Store } from "./store/store.js";
import { admit } from "./validation/admit.js";

export const OWN_POD = "paperclip-0";
export const SHARED_CLAIM = "paperclip-data";

// Not the node that runs Jobs: nothing here runs the own pod, it is the process that the tests or the demo are.
const SERVER_NODE = "server-node";

export function seed(store: Store, namespace: string, ownPodPatch: object): void {
  const put = (resource: string, object: object): KubeObject =>
    store.create(resource, admit(RESOURCES[resource]!, resource === "namespaces" ? undefined : namespace, object));
  for (const name of new Set([namespace, "default"])) {
    put("namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  }
  put("persistentvolumeclaims", {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: SHARED_CLAIM },
    spec: { accessModes: ["ReadWriteMany"], storageClassName: "", resources: { requests: { storage: "10Gi" } } },
  });
  put("secrets", secret("paperclip-env", "Opaque", { OPENAI_API_KEY: "not-a-real-key" }));
  put("secrets", secret("paperclip-files", "Opaque", { "settings.json": '{"made": "for tests"}' }));
  put("secrets", secret("registry", "kubernetes.io/dockerconfigjson", { ".dockerconfigjson": '{"auths": {}}' }));
  const pod = applyPatch("application/strategic-merge-patch+json", ownPod(), ownPodPatch) as Pod;
  const created = put("pods", pod);
  store.modify("pods", namespace, created.metadata.name, (draft: Pod) => {
    const now = timestamp();
    const met = (type: string) => ({ type, status: "True" as const, lastProbeTime: null, lastTransitionTime: now });
    draft.status = {
      phase: "Running",
      conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(met),
      hostIP: "127.0.0.1",
      podIP: "127.0.0.1",
      startTime: now,
      containerStatuses: draft.spec.containers.map(({ name, image }) => ({
        name,
        image,
        imageID: `local/${image}`,
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: now } },
        lastState: {},
      })),
    };
  });
}

const secret = (name: string, type: string, stringData: Record<string, string>): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name },
  type,
  stringData,
});

function ownPod(): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: OWN_POD, labels: { app: "paperclip", "statefulset.kubernetes.io/pod-name": OWN_POD } },
    spec: {
      nodeName: SERVER_NODE,
      serviceAccountName: "paperclip",
      terminationGracePeriodSeconds: 1,
      imagePullSecrets: [{ name: "registry" }],
      dnsConfig: { options: [{ name: "ndots", value: "2" }] },
      securityContext: { runAsUser: 1000, runAsGroup: 1000 },
      containers: [
        {
          name: "paperclip",
          image: "paperclip/paperclip:latest",
          imagePullPolicy: "IfNotPresent",
          command: ["sh", "-c", "trap exit TERM; sleep 1000000 & wait"],
          env: [
            { name: "PAPERCLIP_HOME", value: "/paperclip" },
            { name: "PAPERCLIP_API_URL", value: "http://paperclip.paperclip.svc:3100" },
            { name: "NODE_ENV", value: "production" },
            { name: "OPENAI_API_KEY", valueFrom: { secretKeyRef: { name: "paperclip-env", key: "OPENAI_API_KEY" } } },
          ],
          volumeMounts: [
            { name: "data", mountPath: "/paperclip" },
            { name: "files", mountPath: "/etc/paperclip/files", readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: "data", persistentVolumeClaim: { claimName: SHARED_CLAIM } },
        { name: "files", secret: { secretName: "paperclip-files" } },
      ],
    },
  };
}
