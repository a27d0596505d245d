/**
 * Stands for `opencode` in the demo's pod: replays a recorded session with its real timing. Started as
 * `opencode run …` by the pod's script; takes the prompt from stdin like the real one and does not look at it.
 *
 * REPLAY_FIXTURE   folder with stdout.jsonl, stderr.txt and meta.json
 * REPLAY_TIMES     file that gets one line `<bytes written so far> <time in ms>` per line of output
 * REPLAY_SPEED     factor on the recorded times, default 1
 */
import { appendFileSync, existsSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

interface Meta {
  exitCode: number | null;
  signal?: NodeJS.Signals | null;
  lineTimesMs?: number[];
  stderrFirstMs?: number;
}

/** A recording without times still shows its lines one after the other. */
const DEFAULT_PAUSE_MS = 40;

async function replay(fixture: string): Promise<void> {
  const meta = JSON.parse(readFileSync(join(fixture, "meta.json"), "utf8")) as Meta;
  const speed = Number(process.env["REPLAY_SPEED"] ?? 1) || 1;
  const lines = text(fixture, "stdout.jsonl")
    .split(/(?<=\n)/)
    .filter(Boolean);
  const started = performance.now();
  const until = (ms: number): Promise<void> => sleep(Math.max(0, ms / speed - (performance.now() - started)));
  let bytes = 0;
  for (const [index, line] of lines.entries()) {
    await until(meta.lineTimesMs?.[index] ?? (index + 1) * DEFAULT_PAUSE_MS);
    bytes += write(1, line);
    note(bytes);
  }
  if (meta.stderrFirstMs !== undefined) await until(meta.stderrFirstMs);
  write(2, text(fixture, "stderr.txt"));
  if (meta.signal) process.kill(process.pid, meta.signal);
  process.exitCode = meta.exitCode ?? 1;
}

function text(folder: string, name: string): string {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** One line is one write, as opencode does it. */
function write(fd: number, line: string): number {
  const buffer = Buffer.from(line);
  let done = 0;
  while (done < buffer.length) done += writeSync(fd, buffer, done);
  return buffer.length;
}

function note(bytes: number): void {
  const file = process.env["REPLAY_TIMES"];
  if (file) appendFileSync(file, `${bytes} ${Date.now()}\n`);
}

const fixture = process.env["REPLAY_FIXTURE"];
if (fixture === undefined) {
  console.error("REPLAY_FIXTURE names no recording");
  process.exitCode = 2;
} else {
  // The prompt must be there, as for the real one.
  const prompt = readFileSync(0, "utf8");
  if (prompt.trim() === "") {
    console.error("Error: You must provide a message or a command");
    process.exitCode = 1;
  } else {
    await replay(fixture);
  }
}
