// `npm run test:compat`: the suites with the oldest release of @paperclipai/adapter-utils that can be installed, and
// with the newest one. The built package is what is tested. Versions can be named: `npm run test:compat -- 2026.722.0`.

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

import { checkTypes } from "./compat-types.mjs";
import { OLDEST_HOST } from "./hosts.mjs";
import { checkPrerequisites, installPackages, root, run } from "./prerequisites.mjs";

const [PEER, OLDEST] = [
  OLDEST_HOST.slice(0, OLDEST_HOST.lastIndexOf("@")),
  OLDEST_HOST.slice(OLDEST_HOST.lastIndexOf("@") + 1),
];
/** What meets adapter-utils: the shim by itself, the package's surface, and whole runs. */
const SUITES = [
  "__test__/adapter",
  "__test__/addon/types.spec.ts",
  "__test__/boundary/exports.spec.ts",
  "__test__/boundary/manifest.spec.ts",
  "__test__/run/run.spec.ts",
  "__test__/run/host.spec.ts",
];

checkPrerequisites();
installPackages();
if (!existsSync(`${root}dist/index.js`)) run(process.execPath, ["scripts/build.mjs"]);
checkTypes();
const versions = process.argv.length > 2 ? process.argv.slice(2) : [OLDEST, newest()];
for (const version of new Set(versions)) test(version);

function newest() {
  const { stdout, status } = spawnSync("npm", ["view", PEER, "version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : fail(`npm cannot tell the newest release of ${PEER}`);
}

/** Runs the suites in a copy of this folder that differs in one package. */
function test(version) {
  const folder = mkdtempSync(join(tmpdir(), "compat-"));
  try {
    copyPackage(folder);
    linkPackages(join(folder, "node_modules"), install(folder, version));
    console.log(`\n== ${PEER} ${version}`);
    run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...SUITES], { cwd: folder });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Copies, because Node would follow links back to this folder's packages; large files are linked by their inode. */
function copyPackage(folder) {
  const skipped = new Set(["node_modules", "target", ".git"]);
  for (const name of readdirSync(root)) {
    if (skipped.has(name)) continue;
    const [from, to] = [join(root, name), join(folder, name)];
    if (name.endsWith(".node")) link(from, to);
    // Of build/ the bundles; packages, tools and other Nodes lie in folders of it.
    else
      cpSync(from, to, {
        recursive: true,
        filter: (path) => dirname(path) !== join(root, "build") || path.endsWith(".js"),
      });
  }
}

function link(from, to) {
  try {
    linkSync(from, to);
  } catch {
    cpSync(from, to);
  }
}

/** All packages of this folder but the one in question, and that with what it needs itself. */
function linkPackages(folder, installed) {
  const scope = PEER.split("/")[0];
  mkdirSync(join(folder, scope), { recursive: true });
  const here = join(root, "node_modules");
  for (const name of readdirSync(here).filter((name) => !name.startsWith(".") && name !== scope)) {
    symlinkSync(join(here, name), join(folder, name));
  }
  for (const name of readdirSync(join(installed, scope)))
    symlinkSync(join(installed, scope, name), join(folder, scope, name));
  const { version } = JSON.parse(readFileSync(join(folder, PEER, "package.json"), "utf8"));
  console.log(`${basename(PEER)} in use: ${version}`);
}

function install(folder, version) {
  const home = join(folder, "peer");
  mkdirSync(home);
  writeFileSync(join(home, "package.json"), '{"private":true}');
  run("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", `${PEER}@${version}`], {
    cwd: home,
  });
  return join(home, "node_modules");
}

function fail(message) {
  console.error(`compat: ${message}`);
  process.exit(1);
}
