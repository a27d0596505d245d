// `npm run test:oldest`: the vitest suites with the oldest adapter-utils that can be had, in place of the newest. Leaves
// node_modules as it was.

import { spawnSync } from "node:child_process";

import { OLDEST_HOST } from "./hosts.mjs";
import { checkPrerequisites, installPackages, root, run } from "./prerequisites.mjs";

checkPrerequisites();
installPackages();
run(process.execPath, ["scripts/build.mjs"]);
const install = (...words) => run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error", ...words]);
install(OLDEST_HOST);
const { status } = spawnSync(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
install();
process.exitCode = status ?? 1;
