// The packages with this checkout's development binary in place of a release build: minutes sooner, and else the same.

import { cpSync, existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

import { root, run } from "../prerequisites.mjs";
import { hostPlatform, manifest } from "./platforms.mjs";
import { packAll } from "./stage.mjs";

/** Packs them for the platform of this machine; gives their files. */
export function packDevelopment() {
  const host = hostPlatform();
  const name = `${manifest.napi.binaryName}.${host.name}.node`;
  if (!existsSync(root + name)) run(process.execPath, ["scripts/build.mjs"]);
  const file = `${root}build/native/development/${name}`;
  mkdirSync(dirname(file), { recursive: true });
  cpSync(root + name, file);
  return packAll([{ ...host, file }]);
}
