/** The objects of a deployment, made for this run and deleted after it; and the account that the server gets. */
import { readFileSync, writeFileSync } from "node:fs";

import type { Options } from "../options.js";
import type { Kubectl } from "./kubectl.js";

/** How long the server's token is good for, in seconds. */
const TOKEN_LIFE_SEC = 4 * 3600;

/** Creates the objects of `objects.yaml` and the server's account and Role, anew if a killed run left them. */
export async function createObjects(kubectl: Kubectl, options: Options, root: string): Promise<void> {
  await refuseForeign(kubectl, options.namespace);
  await deleteObjects(kubectl, options);
  await kubectl.run(["create", "namespace", options.namespace]);
  await kubectl.run(["label", "namespace", options.namespace, "paperclip-e2e=true"]);
  await kubectl.run(["apply", "-f", `${root}deploy/rbac.yaml`]);
  const template = readFileSync(`${root}e2e/objects.yaml`, "utf8");
  await kubectl.run(
    ["apply", "-f", "-"],
    template
      .replaceAll("@NAMESPACE@", options.namespace)
      .replaceAll("@NODE_PATH@", options.nodePath)
      .replaceAll("@API_URL@", `http://${options.podHost}:${options.port}`),
  );
  await kubectl.run(["wait", "--for=condition=Ready", "pod/paperclip-0", "--timeout=120s"]);
}

/** Copies what agents inherit from the server's pod to the namespace of a company. */
export async function copyInherited(kubectl: Kubectl, companyId: string): Promise<void> {
  const names = ["secret/paperclip-env", "secret/npm", "configmap/company"];
  const { items } = await kubectl.json<{ items: { metadata: { name: string } }[] }>(["get", ...names, "-o", "json"]);
  const copies = items.map((item) => ({ ...item, metadata: { name: item.metadata.name } }));
  const list = { apiVersion: "v1", kind: "List", items: copies };
  await kubectl.in(`agents-${companyId}`).run(["apply", "-f", "-"], JSON.stringify(list));
}

/** Deletes them and waits until they are gone. */
export async function deleteObjects(kubectl: Kubectl, { namespace }: Options): Promise<void> {
  await kubectl.run(["delete", "namespace", namespace, "--ignore-not-found"]);
  await kubectl.run(["delete", "persistentvolume", `${namespace}-data`, "--ignore-not-found"]);
  await kubectl.run(["delete", "priorityclass", `${namespace}-agents`, "--ignore-not-found"]);
}

/**
 * Makes the namespace of one company as the comments of deploy/company-namespace.yaml say, with a volume of the same
 * folder; gives what deletes it.
 */
export async function createCompanyNamespace(
  kubectl: Kubectl,
  { namespace, nodePath }: Options,
  root: string,
  companyId: string,
): Promise<() => Promise<void>> {
  const objects = readFileSync(`${root}deploy/company-namespace.yaml`, "utf8");
  const volume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: `paperclip-data-${companyId}`, labels: { "paperclip-e2e": "true" } },
    spec: {
      capacity: { storage: "50Gi" },
      accessModes: ["ReadWriteMany"],
      persistentVolumeReclaimPolicy: "Retain",
      hostPath: { path: nodePath, type: "Directory" },
    },
  };
  const own = kubectl.in(`agents-${companyId}`);
  const remove = async (): Promise<void> => {
    await own.run(["delete", "namespace", `agents-${companyId}`, "--ignore-not-found"]);
    await own.run(["delete", "persistentvolume", volume.metadata.name, "--ignore-not-found"]);
  };
  try {
    await own.run(["apply", "-f", "-"], JSON.stringify(volume));
    await own.run(["apply", "-f", "-"], objects.replaceAll("COMPANY", companyId).replaceAll("SERVER", namespace));
    await own.run(["apply", "-f", `${root}deploy/rbac.yaml`]);
  } catch (error) {
    await remove();
    throw error;
  }
  return remove;
}

async function refuseForeign(kubectl: Kubectl, namespace: string): Promise<void> {
  const foreign = await kubectl.run(["get", "namespaces", "-l", "!paperclip-e2e", "-o", "name"]);
  if (!foreign.split("\n").includes(`namespace/${namespace}`)) return;
  throw new Error(
    `the namespace ${namespace} is somebody's: name another one in E2E_NAMESPACE, it is created and deleted`,
  );
}

/** Writes a kubeconfig for the server's service account, which may do what the Role says and no more. */
export async function writeServerKubeconfig(kubectl: Kubectl, { namespace }: Options, file: string): Promise<void> {
  const own = await kubectl.json<{ clusters: [{ cluster: object }] }>([
    "config",
    "view",
    "--raw",
    "--minify",
    "--flatten",
    "-o",
    "json",
  ]);
  const request = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: TOKEN_LIFE_SEC },
  };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/paperclip/token`;
  const { status } = await kubectl.json<{ status: { token: string } }>(
    ["create", "--raw", path, "-f", "-"],
    JSON.stringify(request),
  );
  // YAML has JSON in it.
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "e2e", cluster: own.clusters[0].cluster }],
    users: [{ name: "paperclip", user: { token: status.token } }],
    contexts: [{ name: "e2e", context: { cluster: "e2e", user: "paperclip", namespace } }],
    "current-context": "e2e",
  };
  writeFileSync(file, JSON.stringify(kubeconfig), { mode: 0o600 });
}
