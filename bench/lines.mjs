// How fast one large log goes through, beside what coreutils take for the same file: `npm run bench -- lines [GB]`.
//
// `wc -l` reads the file and counts newlines, `sha256sum` its digest: less cannot be done with these bytes. "engine" is
// the tail without JavaScript (`examples/tail.rs`); `onLines` gets whole lines, up to 120 KiB a call.

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";

import { hostTriple, root } from "../scripts/prerequisites.mjs";

const size = Number(process.argv[2] ?? 1) * 1e9;
const ROUNDS = 5;
const folder = mkdtempSync(join(tmpdir(), "bench-lines-"));
const file = join(folder, "log");

const follow = `
  const { tailPodLogFile } = require(${JSON.stringify(`${root}index.js`)});
  const [path, kind] = process.argv.slice(1);
  let bytes = 0;
  const sinks = {
    onLines: { onLines: (chunk) => { bytes += chunk.length; } },
    onLog: { onLog: (stream, line) => { bytes += line.length; } },
    "onLog, async": { onLog: async (stream, line) => { bytes += line.length; } },
  };
  const options = { ...sinks[kind], stopSignal: { stopped: true }, collect: false };
  require("node:fs").closeSync(require("node:fs").openSync(path));
  const since = performance.now();
  tailPodLogFile(path, options).then(() =>
    console.log(JSON.stringify({ bytes, seconds: (performance.now() - since) / 1000 })));`;
const engine = `${process.env.CARGO_TARGET_DIR ?? `${root}target`}/${hostTriple()}/release/examples/tail`;
const kinds = {
  "wc -l": ["wc", "-l", file],
  "engine, no JavaScript": [engine, file],
  "`onLines`": [process.execPath, "-e", follow, file, "onLines"],
  "`onLog`, a function that returns nothing": [process.execPath, "-e", follow, file, "onLog"],
  "`onLog`, an async function": [process.execPath, "-e", follow, file, "onLog, async"],
  sha256sum: ["sha256sum", file],
  "engine, with the digest": [engine, file, "digest"],
};

if (!existsSync(engine)) {
  console.log(`Without the engine: cargo build --release --target ${hostTriple()} --example tail`);
  for (const kind of Object.keys(kinds).filter((name) => name.startsWith("engine"))) delete kinds[kind];
}

/** Seconds of one run: what it says itself, or until it has ended. */
function run([command, ...args]) {
  const since = performance.now();
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr}`);
  const own = stdout.startsWith("{") ? JSON.parse(stdout) : undefined;
  if (own && own.bytes !== statSync(file).size) throw new Error(`${command} read ${own.bytes} bytes`);
  return own?.seconds ?? (performance.now() - since) / 1000;
}

try {
  const line = `{"type":"text","part":{"text":"${"x".repeat(180)}"}}\n`;
  const block = Buffer.from(line.repeat(5_000));
  const out = openSync(file, "w");
  for (let written = 0; written < size; written += block.length) writeSync(out, block);
  closeSync(out);
  const seconds = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const [kind, command] of Object.entries(kinds)) seconds[kind].push(run(command));
  const best = (kind) => Math.min(...seconds[kind]);
  const median = (kind) => seconds[kind].toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)];
  const bytes = statSync(file).size;
  console.log(
    `${(bytes / 1e9).toFixed(2)} GB in lines of ${line.length} B, page cache warm, ${ROUNDS} interleaved rounds.`,
  );
  console.log(
    `Node ${process.version}, ${cpus().length} CPUs (${cpus()[0]?.model}), load ${loadavg()[0].toFixed(1)}.\n`,
  );
  console.log(
    "| reader | GB/s, median | GB/s, best | of `wc -l`, best | of `sha256sum`, best |\n|---|---|---|---|---|",
  );
  for (const kind of Object.keys(kinds)) {
    const speed = (time) => (bytes / 1e9 / time).toFixed(2);
    const share = (peer) => `${((100 * best(peer)) / best(kind)).toFixed(0)} %`;
    console.log(
      `| ${kind} | ${speed(median(kind))} | ${speed(best(kind))} | ${share("wc -l")} | ${share("sha256sum")} |`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
