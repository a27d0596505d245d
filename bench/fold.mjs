// Folds 100 MB of real opencode JSONL twice: as the adapter does it (Rust, off the JavaScript thread, in a stream), and
// as an adapter in TypeScript does it (the whole stdout as one string, JSON.parse per line).
//
//   node bench/fold.mjs [--mb 100] [--rounds 5] [--json]
//
// Each measurement is a process of its own, so that its peak memory is its own, too.

import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "100" },
    rounds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});

const folder = mkdtempSync(join(tmpdir(), "fold-bench-"));
try {
  const binary = build();
  measure(binary, "the recordings", () => true);
  measure(binary, "their errors and failed tools alone", isFailure);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Both ways on a stream of the lines that are wanted. */
function measure(binary, name, wanted) {
  const file = join(folder, "run.jsonl");
  writeStream(file, Number(values.mb) * 1e6, wanted);
  const ways = {
    rust: () => execFileSync(binary, [file], { encoding: "utf8" }),
    typescript: () =>
      execFileSync(process.execPath, [join(root, "bench/fold-peer.mjs"), file], {
        encoding: "utf8",
        maxBuffer: 1 << 20,
      }),
  };
  const rounds = { rust: [], typescript: [] };
  // In turns, so that a busy moment of the machine meets both.
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [way, run] of Object.entries(ways)) rounds[way].push(JSON.parse(run()));
  }
  report(name, statSync(file).size, best(rounds.rust), best(rounds.typescript));
}

/** The recordings' lines one after the other until there are enough, as one session: steps of others do not count. */
function writeStream(file, bytes, wanted) {
  const fixtures = join(root, "fixtures/opencode");
  const lines = readdirSync(fixtures)
    .map((name) => join(fixtures, name, "stdout.jsonl"))
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, "utf8"))
    .flatMap((text) => text.slice(0, text.lastIndexOf("\n") + 1).split(/(?<=\n)/))
    .filter(wanted)
    .map((line) => line.replace(/"sessionID":"ses_\w+"/g, '"sessionID":"ses_1"'));
  const all = Buffer.from(lines.join(""));
  const out = openSync(file, "w");
  for (let written = 0; written < bytes; written += all.length) writeSync(out, all);
  closeSync(out);
}

function isFailure(line) {
  return line.startsWith('{"type":"error"') || line.includes('"state":{"status":"error"');
}

function build() {
  const target = /^host: (\S+)$/m.exec(execFileSync("rustc", ["-vV"], { encoding: "utf8" }))?.[1] ?? "";
  const args = ["build", "--release", "--quiet", "--no-default-features", "--example", "fold", "--target", target];
  execFileSync("cargo", args, { cwd: root, stdio: "inherit" });
  const folder = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  return join(folder, target, "release/examples/fold");
}

/** The quickest round: the others were disturbed. */
function best(rounds) {
  const least = (field) => Math.min(...rounds.map((round) => round[field]));
  return { ...rounds[0], ms: least("ms"), cpuMs: least("cpuMs") };
}

function report(name, bytes, rust, typescript) {
  for (const field of ["events", "steps", "input", "output"]) {
    if (rust[field] !== typescript[field]) throw new Error(`${field}: ${rust[field]} and ${typescript[field]} differ`);
  }
  const [times, timesCpu] = [typescript.ms / rust.ms, typescript.cpuMs / rust.cpuMs];
  if (values.json) return console.log(JSON.stringify({ name, bytes, rust, typescript, times, timesCpu }));
  const row = (name, { ms, cpuMs, peakKiB }) => {
    const rate = (bytes / 1e6 / (ms / 1000)).toFixed(0);
    console.log(
      `| ${name} | ${ms.toFixed(0)} ms | ${cpuMs.toFixed(0)} ms | ${rate} MB/s | ${(peakKiB / 1024).toFixed(0)} MiB |`,
    );
  };
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}`;
  console.log(`\nfold of ${name}: ${(bytes / 1e6).toFixed(0)} MB, ${rust.events} events, ${machine}\n`);
  console.log("| | time | on a processor | rate | peak memory |\n|---|---|---|---|---|");
  row("Rust, off the JavaScript thread", rust);
  row("JSON.parse per line, on the JavaScript thread", typescript);
  console.log(`\n${times.toFixed(1)} times as fast, ${timesCpu.toFixed(1)} times by processor time`);
}
