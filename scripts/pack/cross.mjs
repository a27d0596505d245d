// zig as linker and C compiler: one machine builds for all kinds of Linux, against a glibc that is old enough.

import { spawnSync } from "node:child_process";

import { environmentWith } from "../wheels.mjs";

// cargo-zigbuild finds the zig of its own Python.
const WHEELS = ["cargo-zigbuild==0.24.1", "ziglang==0.17.1"];

/** `{env}` in which `cargo zigbuild` works, or why there is none. */
export const crossEnvironment = () => environmentWith("cross", WHEELS, works);

/** Installs the standard library of a target; false when it cannot be had. */
export function addTarget(triple) {
  const installed = spawnSync("rustup", ["target", "list", "--installed"], { encoding: "utf8" }).stdout ?? "";
  if (installed.split("\n").includes(triple)) return true;
  console.log(`$ rustup target add ${triple}`);
  return spawnSync("rustup", ["target", "add", triple], { stdio: "inherit" }).status === 0;
}

function works(env) {
  const starts = (command, ...args) => spawnSync(command, args, { env }).status === 0;
  return (
    starts("cargo-zigbuild", "--version") && (starts("python3", "-m", "ziglang", "version") || starts("zig", "version"))
  );
}
