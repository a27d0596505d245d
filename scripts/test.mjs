// `npm test`: from a fresh clone to all tests passed. Installs, builds, runs the Rust tests and the vitest suites.

import { checkPrerequisites, hostTriple, installPackages, root, run } from "./prerequisites.mjs";

checkPrerequisites();
installPackages();
run(process.execPath, ["scripts/build.mjs"]);
// The target is named because `napi build` names it: both share one folder and nothing is compiled twice.
run("cargo", ["test", "--locked", "--target", hostTriple()]);
run(process.execPath, ["node_modules/vitest/vitest.mjs", "run"], { cwd: root });
