// `npm run demo`: from a fresh clone to a finished agent run. Arguments go to the demo, see `npm run demo -- --help`.

import { spawnSync } from "node:child_process";

import { checkPrerequisites, installPackages, root, run } from "./prerequisites.mjs";

checkPrerequisites();
installPackages();
run(process.execPath, ["scripts/build.mjs"]);
const { status } = spawnSync(process.execPath, ["build/demo.js", ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
process.exitCode = status ?? 1;
