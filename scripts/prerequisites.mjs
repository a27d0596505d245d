// Says clearly what this machine lacks, before anything is built. Only Node's own modules: nothing is installed yet.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

const NODE = "Node.js ^20.19 or >= 22.12";
const RUST = [1, 89];

/** Ends the process with a list of what is missing. */
export function checkPrerequisites() {
  const missing = [checkNode(), checkRust(), checkCompiler()].filter(Boolean);
  if (missing.length === 0) return;
  console.error(`This machine lacks:\n${missing.map((text) => `  - ${text}`).join("\n")}`);
  process.exit(2);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  const fits = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  return fits ? null : `${NODE} (this is ${process.version}): https://nodejs.org`;
}

function checkRust() {
  const wanted = `Rust >= ${RUST.join(".")}`;
  const version = /^rustc (\d+)\.(\d+)/.exec(spawnSync("rustc", ["--version"], { encoding: "utf8" }).stdout ?? "");
  if (version === null || spawnSync("cargo", ["--version"]).status !== 0) {
    return `${wanted} (rustc or cargo was not found): https://rustup.rs`;
  }
  const [, major, minor] = version.map(Number);
  const fits = major > RUST[0] || (major === RUST[0] && minor >= RUST[1]);
  return fits ? null : `${wanted} (this is ${major}.${minor}): rustup update`;
}

function checkCompiler() {
  const compilers = [process.env.CC, "cc", "gcc", "clang"].filter(Boolean);
  const found = compilers.some((compiler) => spawnSync(compiler, ["--version"]).status === 0);
  return found ? null : "a C compiler (cc was not found): build-essential, gcc or Xcode's command line tools";
}

/**
 * How npm installs the packages. Not `npm ci`: it refuses a lock file that lacks optional packages of other platforms,
 * which a registry may not have.
 */
export const INSTALL = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];

/** How long npm tries without a network: by default more than a minute. It refuses a maximum below the minimum. */
export const GIVE_UP_SOON = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"];

/** Whether the packages of package-lock.json are there, and as new as it. */
export function packagesAreInstalled() {
  const marker = `${root}node_modules/.package-lock.json`;
  return existsSync(marker) && statSync(marker).mtimeMs >= statSync(`${root}package-lock.json`).mtimeMs;
}

/** Installs the packages of package-lock.json when they are not there, or older than it. */
export function installPackages() {
  if (!packagesAreInstalled()) run("npm", INSTALL);
}

/** Runs a command in the package's folder; a failure ends this process with its status. */
export function run(command, args, options = {}) {
  console.log(`$ ${[command, ...args].join(" ")}`);
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) {
    console.error(`${command} cannot be started: ${error.message}`);
    process.exit(2);
  }
  if (status !== 0) process.exit(signal ? 1 : status);
}

/** The triple that the addon is built for: naming it makes cargo share one target folder between all commands. */
export function hostTriple() {
  const { stdout } = spawnSync("rustc", ["-vV"], { encoding: "utf8" });
  const host = /^host: (\S+)$/m.exec(stdout ?? "")?.[1];
  if (!host) throw new Error("rustc -vV names no host: install Rust from https://rustup.rs and try again");
  return host;
}

/** The version of the package, which the crate must have too. */
export function packageVersion() {
  return JSON.parse(readFileSync(`${root}package.json`, "utf8")).version;
}
