// `npm run e2e`: the whole way through a real Paperclip and a real Kubernetes. docs/e2e.md says what it needs.
//
//   npm run e2e -- [--release | --packed] [--no-build] [--pictures FOLDER] [CASE...]

import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

import { packDevelopment } from "./pack/development.mjs";
import { serveTarballs } from "./pack/registry.mjs";
import { packedAlready } from "./pack/stage.mjs";
import { checkPrerequisites, installPackages, root, run } from "./prerequisites.mjs";

const { values: flags, positionals: cases } = parseArgs({
  options: {
    release: { type: "boolean" },
    packed: { type: "boolean" },
    "no-build": { type: "boolean" },
    pictures: { type: "string" },
  },
  allowPositionals: true,
});

checkPrerequisites();
installPackages();
const how = flags.packed ? ["--ts-only"] : flags.release ? ["--release"] : [];
if (!flags["no-build"]) run(process.execPath, ["scripts/build.mjs", ...how]);
// Paperclip installs the adapter by its name, from a registry that has what would be published.
const registry = await serveTarballs(flags.packed ? packedAlready() : packDevelopment());
const pictures = flags.pictures === undefined ? [] : ["--pictures", resolve(flags.pictures)];
const child = spawn(process.execPath, ["build/e2e.js", "--registry", registry.url, ...pictures, ...cases], {
  cwd: root,
  stdio: "inherit",
});
// A terminal's Ctrl-C reaches the child by itself; it cleans up, and this process waits for it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => signal === "SIGINT" || child.kill(signal));
const code = await new Promise((ended) => child.once("close", ended));
registry.close();
process.exitCode = code ?? 1;
