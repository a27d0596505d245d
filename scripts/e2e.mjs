// `npm run e2e`: the whole way through a real Paperclip and a real Kubernetes. docs/e2e.md says what it needs.
//
//   npm run e2e -- [--release] [--no-build] [CASE...]

import { spawnSync } from "node:child_process";

import { checkPrerequisites, installPackages, root, run } from "./prerequisites.mjs";

const args = process.argv.slice(2);
const flags = new Set(args.filter((arg) => arg.startsWith("--")));

checkPrerequisites();
installPackages();
if (!flags.has("--no-build")) run(process.execPath, ["scripts/build.mjs", ...(flags.has("--release") ? ["--release"] : [])]);
const cases = args.filter((arg) => !arg.startsWith("--"));
const { status } = spawnSync(process.execPath, ["build/e2e.js", ...cases], { cwd: root, stdio: "inherit" });
process.exitCode = status ?? 1;
