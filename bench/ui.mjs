// How long the page's parser and the terminal's formatter take for one line of a megabyte of each kind:
// `npm run bench -- ui`. Measures what is built: "node scripts/build.mjs --ts-only" is enough.

import { createRequire } from "node:module";
import { cpus } from "node:os";

import { longLines } from "./ui-lines.mjs";

const require = createRequire(import.meta.url);
const { parseStdoutLine } = require("../dist/ui-parser.cjs");
const { formatLine } = require("../dist/cli.js");

const ROUNDS = 7;

console.log(
  `One line of 1 MiB, milliseconds, best of ${ROUNDS} rounds; ${cpus()[0]?.model}, Node ${process.versions.node}.\n`,
);
console.log("| line | page | terminal |\n|---|---|---|");
for (const [kind, line] of Object.entries(longLines(1 << 20))) {
  const page = best(() => parseStdoutLine(line, ""));
  const terminal = best(() => formatLine(line, { colour: false }));
  console.log(`| ${kind} | ${page} | ${terminal} |`);
}

function best(work) {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const since = performance.now();
    work();
    least = Math.min(least, performance.now() - since);
  }
  return least.toFixed(1);
}
