// Builds the package: the addon (index.js, index.d.ts, *.node) and the adapter (dist/), and the bundles of the
// development tools (build/) where their sources exist.
//
//   node scripts/build.mjs [--release] [--ts-only | --native-only]

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";

import { hostTriple, packageVersion, root } from "./prerequisites.mjs";

try {
  const { values: options } = parseArgs({
    options: {
      release: { type: "boolean", default: false },
      "ts-only": { type: "boolean", default: false },
      "native-only": { type: "boolean", default: false },
    },
  });
  if (!options["ts-only"]) buildNative(options.release);
  if (!options["native-only"]) await buildTypeScript();
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
}

function buildNative(release) {
  // Naming the target keeps `cargo test --target …` and this build in one folder, so that neither compiles twice.
  const args = ["build", "--platform", "--esm", "--js", "index.js", "--dts", "index.d.ts", "--target", hostTriple()];
  args.push(...(release ? ["--release"] : ["--features", "shared-with-tests"]));
  run(tool("napi"), args);
}

async function buildTypeScript() {
  const esbuild = await importTool("esbuild");
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    target: "node20.19",
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
    define: { __PACKAGE_VERSION__: JSON.stringify(packageVersion()) },
    external: ["@paperclipai/adapter-utils", "@paperclipai/adapter-utils/*"],
  };
  const esm = { ...common, format: "esm" };
  rmSync(`${root}dist`, { recursive: true, force: true });
  await Promise.all([
    esbuild.build({ ...esm, entryPoints: ["adapter/index.ts"], outfile: "dist/index.js", plugins: [addonFunctions()] }),
    // The same functions as the main entry, so it stays a reference to it.
    esbuild.build({ ...esm, entryPoints: ["adapter/server.ts"], outfile: "dist/server.js", external: ["./index.js"] }),
    esbuild.build({ ...esm, entryPoints: ["adapter/cli.ts"], outfile: "dist/cli.js" }),
    esbuild.build({
      ...esm,
      entryPoints: ["command/main.ts"],
      outfile: "dist/command.js",
      banner: { js: "#!/usr/bin/env node" },
    }),
    // The host evaluates this file as the text of a function body: CommonJS, nothing to require.
    esbuild.build({ ...common, format: "cjs", entryPoints: ["adapter/ui-parser.ts"], outfile: "dist/ui-parser.cjs" }),
    ...buildTools(esbuild, esm),
  ]);
  checkUiParser();
  run(tool("tsc"), ["-p", "tsconfig.build.json"]);
  declareUiParser();
  pruneDeclarations(["index.d.ts", "server.d.ts", "cli.d.ts"]);
}

/** The file is CommonJS, so its types are too; adapter-utils has types for modules only. */
function declareUiParser() {
  const source = readFileSync(`${root}dist/ui/stdout-line.d.ts`, "utf8");
  const mode = ' with { "resolution-mode": "import" }';
  writeFileSync(`${root}dist/ui-parser.d.cts`, source.replace(/(from "@paperclipai\/adapter-utils")/, `$1${mode}`));
}

/** The main entry names the addon's functions as the addon's; at run time it must load where the addon does not. */
function addonFunctions() {
  const path = `${root}adapter/addon/functions.ts`;
  return {
    name: "addon-functions",
    setup: (build) => build.onResolve({ filter: /^\.\.\/index\.js$/ }, () => ({ path })),
  };
}

/** tsc declares every file; users see what the entries lead to. */
function pruneDeclarations(entries) {
  const reached = new Set(entries);
  for (const file of reached) {
    for (const [, path] of readFileSync(`${root}dist/${file}`, "utf8").matchAll(/"(\.{1,2}\/[\w/-]+)\.js"/g))
      reached.add(`${join(dirname(file), path)}.d.ts`);
  }
  for (const file of readdirSync(`${root}dist`, { recursive: true }))
    if (file.endsWith(".d.ts") && !reached.has(file)) rmSync(`${root}dist/${file}`);
}

/** What only developers run; it uses the built package like anyone else. */
function buildTools(esbuild, esm) {
  const tools = {
    "local-cluster/main.ts": "build/local-cluster.js",
    "local-cluster/client.ts": "build/local-cluster-client.js",
    "demo/main.ts": "build/demo.js",
    "demo/opencode.ts": "build/opencode-replay.js",
    "e2e/main.ts": "build/e2e.js",
  };
  const present = Object.entries(tools).filter(([source]) => existsSync(root + source));
  if (present.length > 0) mkdirSync(`${root}build`, { recursive: true });
  return present.map(([source, outfile]) =>
    esbuild.build({
      ...esm,
      entryPoints: [source],
      outfile,
      packages: "external",
      external: ["../dist/*", "../index.js"],
    }),
  );
}

function checkUiParser() {
  const source = readFileSync(`${root}dist/ui-parser.cjs`, "utf8");
  const found = /\brequire\s*\(|^\s*(?:import|export)\b/m.exec(source);
  if (found) throw new Error(`dist/ui-parser.cjs must be self-contained, but it has: ${found[0].trim()}`);
}

function tool(name) {
  const path = `${root}node_modules/.bin/${name}`;
  if (!existsSync(path)) throw new Error(`${name} is missing: run "npm install" first`);
  return path;
}

async function importTool(name) {
  try {
    return await import(name);
  } catch {
    throw new Error(`${name} is missing: run "npm install" first`);
  }
}

function run(command, args) {
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command.split("/").pop()} failed (${signal ?? `exit ${status}`})`);
}
