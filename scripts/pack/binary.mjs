// Builds the release binary of one platform, and looks at what came out.

import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { dirname } from "node:path";

import { hostTriple, root } from "../prerequisites.mjs";
import { addTarget, crossEnvironment } from "./cross.mjs";

/** The oldest glibc that the binaries must load with: Debian 10, RHEL 8. */
const GLIBC = "2.28";

/** Builds `platform.file`, fit to be published. Gives `{summary}`, or `{missing}`: why this machine cannot. */
export function buildBinary(platform) {
  const route = platform.os === "linux" ? withZig(platform) : natively(platform);
  if (route.missing) return { missing: route.missing };
  // A folder of its own: zig and the machine's own compiler would take turns in making everything anew.
  const folders = ["--output-dir", dirname(platform.file), "--target-dir", `${root}target/platforms`];
  const args = ["build", "--platform", "--release", "--no-js", ...folders, ...route.args];
  console.log(`$ napi ${args.join(" ")}`);
  const started = Date.now();
  const { status } = spawnSync(`${root}node_modules/.bin/napi`, args, { cwd: root, env: route.env, stdio: "inherit" });
  if (status !== 0) throw new Error(`the build for ${platform.name} failed`);
  const facts = inspectBinary(platform);
  const wrong = complaints(facts);
  if (wrong.length > 0) throw new Error(`the binary for ${platform.name} cannot be published: ${wrong.join("; ")}`);
  const seconds = Math.round((Date.now() - started) / 1000);
  const needs = [facts.glibc && `glibc ${facts.glibc}`, ...(facts.needed ?? [])].filter(Boolean).join(" ");
  return {
    summary: `${platform.name}: ${facts.megabytes.toFixed(2)} MB in ${seconds} s${needs && `, needs ${needs}`}`,
  };
}

function withZig({ triple, libc }) {
  const { env, missing } = crossEnvironment();
  if (missing) return { missing };
  if (!addTarget(triple)) return { missing: `rustup has no standard library for ${triple}` };
  return { env, args: ["--cross-compile", "--target", libc === "gnu" ? `${triple}.${GLIBC}` : triple] };
}

function natively({ os, triple }) {
  if (process.platform !== os) return { missing: `it takes a machine that runs ${os}` };
  if (triple !== hostTriple() && !addTarget(triple)) return { missing: `rustup has no standard library for ${triple}` };
  return { env: process.env, args: ["--target", triple] };
}

/** Size, and for Linux which libraries and which glibc the binary asks for. */
export function inspectBinary({ os, file }) {
  const megabytes = statSync(file).size / 1e6;
  if (os !== "linux") return { megabytes };
  const dynamic = readelf("--dynamic", file);
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((found) => found[1]);
  const versions = [...readelf("--version-info", file).matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g)].map((found) => found[1]);
  return { megabytes, needed, glibc: versions.sort(byVersion).at(-1) };
}

/** What is wrong with a binary that is to be published. */
export function complaints({ needed = [], glibc, megabytes }) {
  const strange = needed.filter((library) => !/^(?:lib(?:c|m|dl|pthread|rt|gcc_s)\.so|ld-)/.test(library));
  return [
    glibc && byVersion(glibc, GLIBC) > 0 ? `it asks for glibc ${glibc}, and ${GLIBC} is the promise` : null,
    strange.length > 0 ? `it asks for ${strange.join(", ")}, which not every image has` : null,
    megabytes > 12 ? `it has ${megabytes.toFixed(1)} MB: is it a development build?` : null,
  ].filter(Boolean);
}

function readelf(option, file) {
  const { status, stdout } = spawnSync("readelf", ["--wide", option, file], { encoding: "utf8", maxBuffer: 64 << 20 });
  if (status !== 0) throw new Error(`readelf ${option} failed on ${file} (Debian: apt-get install binutils)`);
  return stdout;
}

function byVersion(left, right) {
  const [a, b] = [left, right].map((version) => version.split(".").map(Number));
  return a[0] - b[0] || (a[1] ?? 0) - (b[1] ?? 0);
}
