/**
 * Mount mapping (opt-in): a mount namespace and a root of its own, so that the manifest's paths are exactly as written.
 * The new root is made of symbolic links to the machine's own files, with real folders only where something is mounted:
 * nothing outside the pod's folder is touched. Needs Linux with unshare, mount, chroot; without root, user namespaces.
 */

import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Mount } from "./volumes.js";

// Where the machine's own root is seen inside.
const HOST = "/.host";

// Folders that a container has for itself: what it makes there is not the machine's business. What the machine already
// has in its /tmp stays visible (a `binDir` may be there); of its /dev only a few devices do.
const PRIVATE = ["tmp", "dev"];
const DEVICES = ["null", "zero", "full", "random", "urandom", "tty"];

const unshare = (): string[] => [
  "unshare",
  "--mount",
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
];

export function canMount(): boolean {
  if (process.platform !== "linux") return false;
  const [command, ...args] = unshare() as [string, ...string[]];
  const tried = spawnSync(command, [...args, "sh", "-c", "command -v chroot && mount -t tmpfs none /mnt"], {
    stdio: "ignore",
  });
  return tried.status === 0;
}

interface RootRequest {
  /** An empty folder of the container. */
  folder: string;
  mounts: Mount[];
  /** The file behind the container's termination message path. */
  terminationLog: { path: string; file: string };
  workingDir: string;
  argv: string[];
}

/** Prepares the root; answers the command line that enters it and becomes the container's process. */
export function enterRoot({ folder, mounts, terminationLog, workingDir, argv }: RootRequest): string[] {
  const root = join(folder, "root");
  mkdirSync(join(root, HOST), { recursive: true });
  const script = ["set -e", `mount --rbind / ${quote(join(root, HOST))}`];
  const bind = (source: string, path: string, readOnly = false): void => {
    script.push(`mount --bind ${quote(source)} ${quote(join(root, path))}`);
    if (readOnly) script.push(`mount -o remount,bind,ro ${quote(join(root, path))}`);
  };

  for (const name of PRIVATE) mkdirSync(join(root, name), { recursive: true });
  for (const device of DEVICES) {
    writeFileSync(join(root, "dev", device), "");
    bind(`/dev/${device}`, `/dev/${device}`);
  }
  for (const [name, target] of Object.entries({ fd: "", stdin: "/0", stdout: "/1", stderr: "/2" })) {
    symlinkSync(`/proc/self/fd${target}`, join(root, "dev", name));
  }
  // Outer mounts first, so that inner ones come on top of them.
  for (const mount of [...mounts].sort((a, b) => a.path.length - b.path.length)) {
    const outer = mounts.find((other) => mount.path.startsWith(`${other.path}/`));
    // A key of a Secret that is mounted by `subPath` is a file: it needs a file to come on top of.
    const isFile = statSync(mount.folder).isFile();
    const folder = isFile ? dirname(mount.path) : mount.path;
    const inner = outer && join(outer.folder, mount.path.slice(outer.path.length));
    if (inner) mkdirSync(isFile ? dirname(inner) : inner, { recursive: true });
    else openUp(root, folder);
    if (isFile) appendFileSync(inner ?? join(root, mount.path), "");
    bind(mount.folder, mount.path, mount.readOnly);
  }
  openUp(root, dirname(terminationLog.path));
  writeFileSync(join(root, terminationLog.path), "");
  bind(terminationLog.file, terminationLog.path);
  link(root, "/tmp");
  link(root, "/");

  script.push(
    `exec chroot ${quote(root)} /bin/sh -c 'mkdir -p "$0" && cd "$0" && exec "$@"' ${quote(workingDir)} "$@"`,
  );
  return [...unshare(), "--propagation", "private", "/bin/sh", "-c", script.join("\n"), "container", ...argv];
}

/** Makes `path` a real folder in the root, and links into every real folder on the way what the machine has there. */
function openUp(root: string, path: string): void {
  const steps = path.split("/").filter(Boolean);
  let at = "";
  for (const step of steps) {
    if (at !== "" && !at.startsWith("/dev")) link(root, at, step);
    at += `/${step}`;
    mkdirSync(join(root, at), { recursive: true });
  }
}

function link(root: string, folder: string, except?: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const inside = join(root, folder, name);
    if (name !== except && !existsSync(inside)) trySymlink(join(HOST, folder, name), inside);
  }
}

function trySymlink(target: string, path: string): void {
  try {
    symlinkSync(target, path);
  } catch {
    // There already: a dangling link looks like nothing to existsSync.
  }
}

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
