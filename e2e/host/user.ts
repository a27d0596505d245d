/** As whom the server runs. */
import { execFileSync } from "node:child_process";
import { chownSync } from "node:fs";

import type { Options } from "../options.js";

/** An account of this machine. */
export interface User {
  uid: number;
  gid: number;
}

/** The uid of Paperclip's images, and of the agents' pods. */
const USUAL_UID = "1000";

/**
 * The embedded database refuses root, and wants a user that has a name. Root therefore gives the server to the user of
 * Paperclip's images; anybody else keeps it. `null`: as this process.
 */
export function serverUser({ user }: Pick<Options, "user">): User | null {
  if (process.getuid?.() !== 0) return null;
  const wanted = user ?? USUAL_UID;
  try {
    const [, , uid, gid] = execFileSync("getent", ["passwd", wanted], { encoding: "utf8" }).split(":");
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  } catch {
    // Said below.
  }
  throw new Error(
    `no unprivileged user ${wanted}: set E2E_USER to one with uid 1000 or in group 1000, as the pods are`,
  );
}

/** Gives a file or folder of ours to the server's user. */
export function giveTo(user: User | null, ...paths: string[]): void {
  if (user) for (const path of paths) chownSync(path, user.uid, user.gid);
}
