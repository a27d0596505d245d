// zig as linker and C compiler: one machine builds for all kinds of Linux, against a glibc that is old enough.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

import { root } from "../prerequisites.mjs";

// Both ship as prebuilt Python wheels; cargo-zigbuild finds the zig of its own Python.
const WHEELS = ["cargo-zigbuild==0.24.1", "ziglang==0.17.1"];
const FOLDER = `${root}build/cross`;

/** The environment in which `cargo zigbuild` works, or why there is none. */
export function crossEnvironment() {
  if (works(process.env)) return { env: process.env };
  const env = { ...process.env, PATH: `${FOLDER}/bin:${process.env.PATH}` };
  if (works(env)) return { env };
  console.log(`$ python3 -m venv build/cross && build/cross/bin/pip install ${WHEELS.join(" ")}`);
  const failed = install();
  return failed === null && works(env) ? { env } : { missing: failed ?? "cargo-zigbuild or its zig does not start" };
}

/** Installs the standard library of a target; false when it cannot be had. */
export function addTarget(triple) {
  const installed = spawnSync("rustup", ["target", "list", "--installed"], { encoding: "utf8" }).stdout ?? "";
  if (installed.split("\n").includes(triple)) return true;
  console.log(`$ rustup target add ${triple}`);
  return spawnSync("rustup", ["target", "add", triple], { stdio: "inherit" }).status === 0;
}

function works(env) {
  if (spawnSync("cargo-zigbuild", ["--version"], { env }).status !== 0) return false;
  return spawnSync("python3", ["-m", "ziglang", "version"], { env }).status === 0 || spawnSync("zig", ["version"], { env }).status === 0;
}

function install() {
  const made = existsSync(`${FOLDER}/bin/pip`) || spawnSync("python3", ["-m", "venv", FOLDER], { stdio: "inherit" }).status === 0;
  if (!made) return "python3 -m venv failed (Debian: apt-get install python3-venv)";
  const { status } = spawnSync(`${FOLDER}/bin/pip`, ["install", "--quiet", ...WHEELS], { stdio: "inherit" });
  return status === 0 ? null : "pip could not install cargo-zigbuild and ziglang";
}
