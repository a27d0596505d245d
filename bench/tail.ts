/**
 * `npm run bench -- tail [seconds] [parts]`: the tail of this package against its peer (`peer.ts`), in one run on one
 * machine. Every reader is a process of its own; readers that are compared follow the same files at the same time, or
 * take turns. Prints Markdown. Parts: million, gigabyte, growing, idle, many, stalled; without a word all of them.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

interface Figures {
  [name: string]: any;
  failed?: string;
}

const seconds = Number(process.argv[2] ?? 30);
const dir = mkdtempSync(join(tmpdir(), "tail-bench-"));
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** A reader process. */
class Reader {
  private readonly child: ChildProcess;
  private readonly answers: AsyncIterator<string>;

  constructor(who: "ours" | "peer", files: string[], job: object = {}) {
    const script = fileURLToPath(new URL("./bench-reader.js", import.meta.url));
    const argument = JSON.stringify({ who, files, collect: false, timed: false, delay: false, ...job });
    this.child = spawn(process.execPath, [script, argument], { stdio: ["pipe", "pipe", "inherit"] });
    this.answers = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async ask(word?: string): Promise<Figures> {
    if (word) this.child.stdin!.write(`${word}\n`);
    const { value, done } = await this.answers.next();
    return done ? ({ failed: "the process died" } as Figures) : (JSON.parse(value) as Figures);
  }

  stop(): void {
    this.child.kill("SIGKILL");
  }
}

function logOf(name: string, lines: number, lineBytes: number): { path: string; bytes: number } {
  const path = join(dir, name);
  const line = `{"type":"text","part":{"text":"${"x".repeat(lineBytes - 35)}"}}\n`;
  const block = Buffer.from(line.repeat(5_000));
  const file = openSync(path, "w");
  for (let written = 0; written < lines; written += 5_000) writeSync(file, block);
  closeSync(file);
  return { path, bytes: block.length * (lines / 5_000) };
}

async function million(): Promise<void> {
  const lines = 1_000_000;
  const { path, bytes } = logOf("million", lines, 200);
  const kinds = [
    { name: "peer", who: "peer", collect: true },
    { name: "ours, text returned", who: "ours", collect: true },
    { name: "ours, `collect: false`", who: "ours", collect: false },
  ] as const;
  const rounds: Figures[][] = kinds.map(() => []);
  for (let round = 0; round < 5; round++) {
    for (const [index, { who, collect }] of kinds.entries()) {
      rounds[index]!.push(await new Reader(who, [path], { collect, untilBytes: bytes, delay: true }).ask());
    }
  }
  say(`\n### 1,000,000 lines of 200 B (medians of 5 interleaved runs)\n`);
  say(
    "| reader | klines/s until the promise resolves | main-thread CPU µs/line | process CPU s " +
      "| longest block of the event loop ms | peak RSS MB |",
  );
  say("|---|---|---|---|---|---|");
  for (const [index, { name }] of kinds.entries()) {
    const of = (key: string): number => median(rounds[index]!.map((figures) => figures[key] ?? NaN));
    say(
      `| ${name} | ${(lines / of("wallMs")).toFixed(0)} | ${((of("mainMs") * 1000) / lines).toFixed(3)} ` +
        `| ${(of("cpuMs") / 1000).toFixed(2)} | ` +
        `${of("delayMax").toFixed(1)} | ${of("peakRssMb").toFixed(0)} |`,
    );
  }
  rmSync(path);
}

async function gigabyte(): Promise<void> {
  const { path, bytes } = logOf("gigabyte", 5_000_000, 215);
  say(`\n### ${(bytes / 2 ** 30).toFixed(2)} GiB present at once\n`);
  say("| reader | result | RSS above the idle process MB | longest block of the event loop ms |");
  say("|---|---|---|---|");
  for (const [name, who, collect] of [
    ["peer", "peer", true],
    ["ours, text returned (bounded at 256 MiB)", "ours", true],
    ["ours, `collect: false`", "ours", false],
  ] as const) {
    const figures = await new Reader(who, [path], { collect, untilBytes: bytes, delay: true }).ask();
    const result =
      figures.failed ?? `${(figures.lines! / figures.wallMs!).toFixed(0)} klines/s, ${figures.textLength} characters`;
    const rss = figures.idleRssMb === undefined ? "?" : (figures.peakRssMb! - figures.idleRssMb).toFixed(0);
    say(`| ${name} | ${result} | ${rss} | ${figures.delayMax?.toFixed(0) ?? "?"} |`);
  }
  rmSync(path);
}

/** Files that grow: each gets a line of 300 B every `everyMs`, spread over that time. */
function growing(count: number, everyMs: number): { files: string[]; stop: () => void } {
  const folder = mkdtempSync(join(dir, "growing-"));
  const files = Array.from({ length: count }, (_, index) => join(folder, `${index}.pod.ndjson`));
  for (const file of files) writeFileSync(file, "");
  let next = 0;
  let written = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - started) / everyMs) * count;
    for (; written < due; written++) {
      appendFileSync(files[next]!, `${Date.now()} ${"x".repeat(285)}\n`);
      next = (next + 1) % count;
    }
  }, 5);
  return { files, stop: () => clearInterval(timer) };
}

async function together(readers: Reader[], between: () => Promise<void> = async () => {}): Promise<Figures[]> {
  // Until V8 has compiled what is hot and has tidied up after the start: an idle process does so for ten seconds.
  await sleep(15_000);
  for (const reader of readers) await reader.ask("mark");
  await between();
  await sleep(seconds * 1_000);
  const figures = [];
  for (const reader of readers) figures.push(await reader.ask("report"));
  for (const reader of readers) reader.stop();
  return figures;
}

function table(title: string, rows: [string, Figures][]): void {
  say(`\n### ${title} (${seconds} s)\n`);
  say(
    "| reader | CPU % of one core | main-thread CPU % | latency p50 / p99 / max ms " +
      "| event-loop delay p99 ms | threads |",
  );
  say("|---|---|---|---|---|---|");
  for (const [name, f] of rows) {
    const share = (key: string): string => ((100 * f[key]!) / f.wallMs!).toFixed(3);
    say(
      `| ${name} | ${share("cpuMs")} | ${share("mainMs")} | ${f.p50} / ${f.p99} / ${f.max} ` +
        `| ${f.delayP99! > 0 ? f.delayP99!.toFixed(1) : "-"} | ${f.threads} |`,
    );
  }
}

async function hundredFortyFour(): Promise<void> {
  const { files, stop } = growing(144, 200);
  const [peer, ours, empty] = await together([
    new Reader("peer", files, { timed: true }),
    new Reader("ours", files, { timed: true }),
    new Reader("ours", []),
  ]);
  stop();
  const rows: [string, Figures][] = [
    ["peer", peer!],
    ["ours", ours!],
    ["a process without tails", empty!],
  ];
  table("144 files, 720 lines/s of 300 B, all readers on the same files", rows);
}

async function idle(): Promise<void> {
  const { files, stop } = growing(144, 1e9);
  stop();
  const [peer, ours, empty] = await together([
    new Reader("peer", files),
    new Reader("ours", files),
    new Reader("ours", []),
  ]);
  table("144 idle files", [
    ["peer", peer!],
    ["ours", ours!],
    ["a process without tails", empty!],
  ]);
}

async function twoThousand(): Promise<void> {
  const rows: [string, Figures][] = [];
  for (const count of [144, 2_000]) {
    const { files, stop } = growing(count, 2_000);
    // The delay is measured in a process of its own: measuring it costs more than the tail.
    const [ours, delayed] = await together([
      new Reader("ours", files, { timed: true }),
      new Reader("ours", files, { delay: true }),
    ]);
    stop();
    rows.push([`ours, ${count} files`, { ...ours!, delayP99: delayed!.delayP99! }]);
  }
  table("144 and 2,000 files, each a line every 2 s", rows);
}

/** A FUSE mount whose server never answers: every open on it hangs. */
function deadMount(): { path: string; release: () => void } | string {
  const path = join(dir, "dead");
  mkdirSync(path);
  try {
    const fuse = openSync("/dev/fuse", "r+");
    const options = "fd=3,rootmode=40000,user_id=0,group_id=0";
    execFileSync("mount", ["-i", "-t", "fuse", "-o", options, "dead", path], {
      stdio: ["ignore", "ignore", "pipe", fuse],
    });
    const release = (): void => {
      closeSync(fuse);
      execFileSync("umount", ["-l", path]);
    };
    return { path, release };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function stalled(): Promise<void> {
  const mount = deadMount();
  if (typeof mount === "string") return say(`\nThe stalled mount was not measured: ${mount.trim()}`);
  const rows: [string, Figures][] = [];
  for (const name of ["without", "with"]) {
    const { files, stop } = growing(144, 200);
    const reader = new Reader("ours", files, { timed: true });
    const stall = async (): Promise<void> => {
      await sleep(2_000);
      if (name === "with") await reader.ask(`add ${join(mount.path, "run.pod.ndjson")}`);
    };
    const [ours] = await together([reader], stall);
    stop();
    rows.push([`ours, ${name} a file on a mount that hangs`, ours!]);
  }
  mount.release();
  table("144 growing files and one on a dead FUSE mount", rows);
}

say(
  `Node ${process.version}, ${cpus().length} CPUs (${cpus()[0]?.model}), ` +
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${new Date().toISOString().slice(0, 10)}.`,
);
const parts = { million, gigabyte, growing: hundredFortyFour, idle, many: twoThousand, stalled };
const wanted = process.argv[3]?.split(",") ?? Object.keys(parts);
try {
  for (const [name, part] of Object.entries(parts)) if (wanted.includes(name)) await part();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exit(0);
