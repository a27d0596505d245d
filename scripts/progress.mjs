// Runs a long command behind one line that says what it does and for how long; its own output is shown when it fails.

import { spawn } from "node:child_process";

import { root } from "./prerequisites.mjs";

/** How many lines of a failed command are shown. */
const SHOWN = 30;

/** Resolves when the command succeeded; ends this process when it did not. `advice`: what to do, from its output. */
export async function runWithProgress(title, command, args, advice = () => "") {
  const started = Date.now();
  const lines = [];
  const line = progressLine(title, started, lines);
  const code = await new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        lines.push(...text.split(/[\r\n]+/).filter((part) => part.trim() !== ""));
        lines.splice(0, lines.length - SHOWN);
      });
    }
    child.once("error", (error) => {
      lines.push(error.message);
      resolve(2);
    });
    child.once("close", (status) => resolve(status ?? 1));
  });
  line.end(code === 0);
  if (code === 0) return;
  const said = lines.join("\n");
  console.error(said);
  const what = advice(said);
  if (what) console.error(`\n${what}`);
  process.exit(code);
}

function progressLine(title, started, lines) {
  const { stderr } = process;
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
  const columns = () => Math.max(20, (stderr.columns ?? 80) - 1);
  // A terminal has one line that changes; a file gets a line now and then.
  const show = stderr.isTTY
    ? () => stderr.write(`\r\u001b[K${`${title} ${seconds()}  ${lines.at(-1)?.trim() ?? ""}`.slice(0, columns())}`)
    : () => stderr.write(`${title} ${seconds()}\n`);
  show();
  const timer = setInterval(show, stderr.isTTY ? 500 : 10_000);
  return {
    end(well) {
      clearInterval(timer);
      stderr.write(`${stderr.isTTY ? "\r\u001b[K" : ""}${title} ${well ? "done" : "failed"} after ${seconds()}\n`);
    },
  };
}
