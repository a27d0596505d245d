// The peer of bench/fold.mjs: what an adapter without native code does when a run is over. It holds the whole stdout,
// splits it, parses every line and adds up what it finds.

import { readFileSync } from "node:fs";

const started = performance.now();
const before = process.cpuUsage();
const stdout = readFileSync(process.argv[2], "utf8");
const sum = fold(stdout);
const ms = performance.now() - started;
const { user, system } = process.cpuUsage(before);
const cpuMs = (user + system) / 1000;
const { texts, errors, ...rest } = sum;
console.log(
  JSON.stringify({ ms, cpuMs, bytes: Buffer.byteLength(stdout), peakKiB: process.resourceUsage().maxRSS, ...rest }),
);

function fold(text) {
  const sum = { events: 0, steps: 0, input: 0, output: 0, cached: 0, cost: 0, session: null, texts: [], errors: [] };
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "") continue;
    let event;
    try {
      event = JSON.parse(line);
    } catch {
      continue;
    }
    if (typeof event === "object" && event !== null) add(sum, event);
  }
  return sum;
}

function add(sum, event) {
  sum.events += 1;
  sum.session = event.sessionID || sum.session;
  const part = event.part ?? {};
  if (event.type === "text") sum.texts.push(part.text);
  if (event.type === "error") sum.errors.push(event.error?.data?.message);
  if (event.type === "tool_use" && part.state?.status === "error") sum.errors.push(part.state.error);
  if (event.type !== "step_finish") return;
  const tokens = part.tokens ?? {};
  sum.steps += 1;
  sum.input += tokens.input ?? 0;
  sum.output += (tokens.output ?? 0) + (tokens.reasoning ?? 0);
  sum.cached += tokens.cache?.read ?? 0;
  sum.cost += part.cost ?? 0;
}
