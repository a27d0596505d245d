/** From a container of a manifest to the process that stands for it: env, mounts, paths, command. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Container, Pod } from "../objects.js";
import type { Launch } from "./container-process.js";
import type { Environment } from "./env.js";
import { expand } from "./expand.js";
import { mapText, type PathMap } from "./paths.js";
import { enterRoot } from "./rootfs.js";
import { mountsOf } from "./volumes.js";

export interface ImageOptions {
  /** A folder that comes first in PATH. */
  binDir?: string;
  /** What the image itself would set. */
  env?: Record<string, string>;
  /** What runs when the manifest gives no command. */
  entrypoint?: string[];
}

interface SetupContext {
  environment: Environment;
  mapping: "text" | "mount";
  image: ImageOptions;
  /** Folders of the pod's volumes. */
  folders: Map<string, string>;
  /** A folder of this container's own. */
  dir: string;
  output: string;
}

export interface Prepared extends Launch {
  terminationFile: string;
}

export function prepare(pod: Pod, container: Container, context: SetupContext): Prepared {
  const { image, dir } = context;
  const declared = context.environment.of(pod, container);
  const mounts = mountsOf(container, context.folders, declared);
  const home = join(dir, "home");
  mkdirSync(home, { recursive: true });
  const terminationFile = join(dir, "termination-log");
  writeFileSync(terminationFile, "", { mode: 0o666 });
  const terminationPath = container.terminationMessagePath ?? "/dev/termination-log";

  const argv = [...(container.command ?? image.entrypoint ?? []), ...(container.args ?? [])].map((word) =>
    expand(word, (name) => declared[name]),
  );
  const machinePath = process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin";
  const env: Record<string, string> = {
    PATH: machinePath,
    ...image.env,
    HOSTNAME: pod.metadata.name.slice(0, 63),
    ...declared,
  };
  if (image.binDir) env.PATH = `${image.binDir}${delimiter}${env.PATH}`;

  if (context.mapping === "mount") {
    // A runtime sets HOME from the image's user when nobody else does.
    env.HOME ??= "/tmp";
    const workingDir = container.workingDir ?? "/";
    const terminationLog = { path: terminationPath, file: terminationFile };
    return {
      argv: enterRoot({ folder: dir, mounts, terminationLog, workingDir, argv }),
      env,
      cwd: dir,
      output: context.output,
      terminationFile,
    };
  }
  const paths: PathMap = new Map(mounts.map((mount) => [mount.path, mount.folder]));
  paths.set(terminationPath, terminationFile);
  mapSecretFiles(pod, container, context.folders, paths);
  const mapped = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, mapText(value, paths)]));
  // The machine's own folders and those of the image stand as they are; only the manifest names the container's paths.
  const search = declared.PATH === undefined ? (image.env?.PATH ?? machinePath) : mapText(declared.PATH, paths);
  mapped.PATH = image.binDir ? `${image.binDir}${delimiter}${search}` : search;
  mapped.HOME ??= home;
  return {
    argv: argv.map((word) => mapText(word, paths)),
    env: mapped,
    cwd: workingFolder(container, paths, home),
    output: context.output,
    terminationFile,
  };
}

/** What a Secret's volume holds is the manifest's text as well: a prompt that names paths of the container. */
function mapSecretFiles(pod: Pod, container: Container, folders: Map<string, string>, paths: PathMap): void {
  const secrets = new Set((pod.spec.volumes ?? []).flatMap((volume) => (volume.secret ? [volume.name] : [])));
  for (const { name } of container.volumeMounts ?? []) {
    const folder = folders.get(name);
    if (!secrets.has(name) || !folder) continue;
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) mapFile(join(entry.parentPath, entry.name), paths);
    }
  }
}

/** A file of other bytes than text stays as it is. */
function mapFile(file: string, paths: PathMap): void {
  const bytes = readFileSync(file);
  const text = bytes.toString("utf8");
  const mapped = mapText(text, paths);
  if (mapped === text || !Buffer.from(text).equals(bytes)) return;
  const { mode } = statSync(file);
  rmSync(file);
  writeFileSync(file, mapped, { mode });
}

/** A missing working directory is made, as a runtime does, but only below a mount; else the machine's own is used. */
function workingFolder(container: Container, paths: PathMap, home: string): string {
  if (!container.workingDir) return home;
  const folder = mapText(container.workingDir, paths);
  if (folder !== container.workingDir) mkdirSync(folder, { recursive: true });
  return existsSync(folder) ? folder : home;
}
