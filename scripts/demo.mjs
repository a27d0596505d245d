// `npm run demo`: from a fresh clone to a finished agent run. Arguments go to the demo, see `npm run demo -- --help`.

import { spawnSync } from "node:child_process";

import { readOptions } from "../demo/options.mjs";
import { checkPrerequisites, GIVE_UP_SOON, INSTALL, packagesAreInstalled, root } from "./prerequisites.mjs";
import { runWithProgress } from "./progress.mjs";

const OFFLINE = `It seems that a registry cannot be reached. Offline, this machine needs what another one has fetched:
  - npm's packages: copy node_modules/ of this folder from there
  - Rust's crates: run "cargo vendor" there and follow what it prints
With mirrors: set npm_config_registry, and a source replacement in ~/.cargo/config.toml.`;

const argv = process.argv.slice(2);
if (isToRun()) {
  checkPrerequisites();
  if (!packagesAreInstalled()) {
    await runWithProgress("Installing npm's packages …", "npm", [...INSTALL, ...GIVE_UP_SOON], adviceFor);
  }
  await runWithProgress(
    "Building (the first time takes minutes) …",
    process.execPath,
    ["scripts/build.mjs"],
    adviceFor,
  );
  const { status } = spawnSync(process.execPath, ["build/demo.js", ...argv], { cwd: root, stdio: "inherit" });
  process.exitCode = status ?? 1;
}

/** Before anything is installed: is there something to run, or only something to say? */
function isToRun() {
  try {
    const options = readOptions(argv, `${root}fixtures/opencode`, process.stdout.columns);
    if (typeof options !== "string") return true;
    console.log(options);
  } catch (error) {
    console.error(`demo: ${error.message}`);
    process.exitCode = 2;
  }
  return false;
}

function adviceFor(output) {
  return /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|network|resolve host|spurious/i.test(output)
    ? OFFLINE
    : "";
}
