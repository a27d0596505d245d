// `npm run e2e`: the whole way through a real Paperclip and a real Kubernetes. docs/e2e.md says what it needs.
//
//   npm run e2e -- [--release | --packed] [--no-build] [CASE...]

import { spawn } from "node:child_process";

import { packDevelopment } from "./pack/development.mjs";
import { serveTarballs } from "./pack/registry.mjs";
import { packedAlready } from "./pack/stage.mjs";
import { checkPrerequisites, installPackages, root, run } from "./prerequisites.mjs";

const args = process.argv.slice(2);
const flags = new Set(args.filter((arg) => arg.startsWith("--")));
const cases = args.filter((arg) => !arg.startsWith("--"));

checkPrerequisites();
installPackages();
const how = flags.has("--packed") ? ["--ts-only"] : flags.has("--release") ? ["--release"] : [];
if (!flags.has("--no-build")) run(process.execPath, ["scripts/build.mjs", ...how]);
// Paperclip installs the adapter by its name, from a registry that has what would be published.
const registry = await serveTarballs(flags.has("--packed") ? packedAlready() : packDevelopment());
const child = spawn(process.execPath, ["build/e2e.js", "--registry", registry.url, ...cases], {
  cwd: root,
  stdio: "inherit",
});
// A terminal's Ctrl-C reaches the child by itself; it cleans up, and this process waits for it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => signal === "SIGINT" || child.kill(signal));
const code = await new Promise((ended) => child.once("close", ended));
registry.close();
process.exitCode = code ?? 1;
