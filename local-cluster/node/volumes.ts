/** Folders behind a pod's volumes, and which of them a container sees at which path. */

import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, join, normalize } from "node:path";
import type { Container, Pod, Volume } from "../objects.js";
import type { Store } from "../store/store.js";
import { contentOf, fieldOf } from "./env.js";
import { expand } from "./expand.js";

export interface Mount {
  path: string;
  folder: string;
  readOnly: boolean;
}

/** A volume that cannot be set up (yet): the pod stays in ContainerCreating. */
export class MountError extends Error {}

/** Makes the folders of all volumes of a pod below `podDir`; answers volume name -> folder. */
export function setUpVolumes(
  store: Store,
  pod: Pod,
  podDir: string,
  claimDir: (namespace: string, claim: string) => string,
): Map<string, string> {
  const folders = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? [])
    folders.set(volume.name, setUp(store, pod, volume, join(podDir, "volumes", volume.name), claimDir));
  return folders;
}

function setUp(
  store: Store,
  pod: Pod,
  volume: Volume,
  folder: string,
  claimDir: (namespace: string, claim: string) => string,
): string {
  const namespace = pod.metadata.namespace!;
  if (volume.persistentVolumeClaim) {
    const shared = claimDir(namespace, volume.persistentVolumeClaim.claimName);
    mkdirSync(shared, { recursive: true });
    return shared;
  }
  mkdirSync(folder, { recursive: true });
  // An emptyDir is open to every user of the pod, as the kubelet makes it.
  if (volume.emptyDir) chmodSync(folder, 0o777);
  else if (volume.secret) project(store, "secrets", namespace, volume.secret.secretName ?? "", volume.secret, folder);
  else if (volume.configMap)
    project(store, "configmaps", namespace, volume.configMap.name ?? "", volume.configMap, folder);
  else if (volume.downwardAPI) writeFields(pod, volume.downwardAPI.items ?? [], folder);
  else if (volume.projected)
    for (const source of volume.projected.sources ?? []) projectOne(store, pod, source, folder);
  else throw new MountError(`volume "${volume.name}" has a source that this cluster's node does not support`);
  return folder;
}

/** One source of a projected volume. */
function projectOne(store: Store, pod: Pod, source: any, folder: string): void {
  const { secret, configMap, downwardAPI, serviceAccountToken } = source;
  const namespace = pod.metadata.namespace!;
  if (secret) project(store, "secrets", namespace, secret.name ?? "", secret, folder);
  if (configMap) project(store, "configmaps", namespace, configMap.name ?? "", configMap, folder);
  if (downwardAPI) writeFields(pod, downwardAPI.items ?? [], folder);
  if (serviceAccountToken) writeFile(join(folder, serviceAccountToken.path), "not-a-real-token", 0o600);
}

/** Fields of the pod as files; of resources, whose sizes this node does not enforce, 0. */
function writeFields(pod: Pod, items: { path: string; fieldRef?: { fieldPath: string } }[], folder: string): void {
  for (const { path, fieldRef } of items)
    writeFile(join(folder, path), fieldRef ? fieldOf(pod, fieldRef.fieldPath) : "0", 0o644);
}

/** By rename, so that a container never reads half a file; the owner may read, whatever mode the manifest gives. */
function writeFile(file: string, content: Buffer | string, mode: number): void {
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  writeFileSync(`${file}.new`, content, { mode: 0o400 | mode });
  renameSync(`${file}.new`, file);
}

function project(
  store: Store,
  resource: string,
  namespace: string,
  name: string,
  source: NonNullable<Volume["secret"]>,
  folder: string,
): void {
  const object = store.get(resource, namespace, name);
  if (!object) {
    if (source.optional) return;
    throw new MountError(`${resource.slice(0, -1)} "${name}" not found`);
  }
  const content = contentOf(object);
  const items = source.items ?? Object.keys(content).map((key) => ({ key, path: key }));
  for (const { key, path, mode } of items as NonNullable<typeof source.items>) {
    if (content[key] === undefined) {
      if (source.optional) continue;
      throw new MountError(`references non-existent ${resource.slice(0, -1)} key: ${key}`);
    }
    writeFile(join(folder, path), content[key]!, mode ?? source.defaultMode ?? 0o644);
  }
}

/** What one container mounts. A missing `subPath` folder is made, as the kubelet does. */
export function mountsOf(container: Container, folders: Map<string, string>, env: Record<string, string>): Mount[] {
  return (container.volumeMounts ?? []).map((mount) => {
    const folder = folders.get(mount.name);
    if (!folder) throw new MountError(`volume "${mount.name}" is not a volume of the pod`);
    const subPath = mount.subPath || expand(mount.subPathExpr ?? "", (name) => env[name]);
    if (isAbsolute(subPath) || normalize(subPath).startsWith(".."))
      throw new MountError(`subPath "${subPath}" leaves the volume`);
    const target = subPath ? join(folder, subPath) : folder;
    if (!existsSync(target)) mkdirSync(target, { recursive: true });
    return {
      path: normalize(mount.mountPath).replace(/(.)\/$/, "$1"),
      folder: target,
      readOnly: mount.readOnly ?? false,
    };
  });
}
