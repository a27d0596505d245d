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
    template.replaceAll("@NAMESPACE@", options.namespace).replaceAll("@NODE_PATH@", options.nodePath),
  );
  await kubectl.run(["wait", "--for=condition=Ready", "pod/paperclip-0", "--timeout=120s"]);
}

/** Deletes them and waits until they are gone. */
export async function deleteObjects(kubectl: Kubectl, { namespace }: Options): Promise<void> {
  await kubectl.run(["delete", "namespace", namespace, "--ignore-not-found"]);
  await kubectl.run(["delete", "persistentvolume", `${namespace}-data`, "--ignore-not-found"]);
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
