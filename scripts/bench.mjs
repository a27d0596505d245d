// Benchmarks; each prints Markdown.
//
//   npm run bench -- tail [seconds]     the tail beside the algorithm in plain TypeScript
//   npm run bench -- lines [GB]         one large file beside wc -l and sha256sum
//   npm run bench -- runs               many runs at once: requests to the API, memory, event loop
//   npm run bench -- hostile            the same with the worst logs: memory, a neighbour's lines, a cancel
//   npm run bench -- manifest           microseconds per manifest
//   npm run bench -- fold               understanding opencode's stream
//   npm run bench -- ui                 one line of a megabyte on the page and in a terminal
//
// Measures what is built: run "npm run build:release" first.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

import { root } from "./prerequisites.mjs";

const [name = "tail", ...rest] = process.argv.slice(2);
const bundle = `${root}build/bench-${name}.js`;

if (existsSync(`${root}bench/${name}.mjs`)) {
  process.exitCode =
    spawnSync(process.execPath, [`bench/${name}.mjs`, ...rest], { cwd: root, stdio: "inherit" }).status ?? 1;
} else if (!existsSync(`${root}bench/${name}.ts`)) {
  console.error(`bench: there is no bench/${name}.ts`);
  process.exitCode = 1;
} else if (!existsSync(`${root}dist/index.js`)) {
  console.error('bench: nothing is built. Run "npm run build:release" first');
  process.exitCode = 1;
} else {
  const esbuild = await import("esbuild");
  await esbuild.build({
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    target: "node20.19",
    format: "esm",
    packages: "external",
    external: ["../dist/*"],
    entryPoints: { [`bench-${name}`]: `bench/${name}.ts`, "bench-reader": "bench/reader.ts" },
    outdir: "build",
    logLevel: "warning",
  });
  process.exitCode = spawnSync(process.execPath, [bundle, ...rest], { cwd: root, stdio: "inherit" }).status ?? 1;
}
