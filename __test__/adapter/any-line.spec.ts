/** Transcript parser and command line over strange lines: mutated recordings, random JSON, a megabyte of one letter. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { formatLine } from "../../adapter/cli.js";
import { parseStdoutLine } from "../../adapter/ui-parser.js";

const fixtures = new URL("../../fixtures/opencode/", import.meta.url);
const lines = readdirSync(fixtures)
  .map((name) => new URL(`${name}/stdout.jsonl`, fixtures))
  .filter((file) => existsSync(file))
  .flatMap((file) => readFileSync(file, "utf8").split("\n"))
  .filter((line) => line !== "" && line.length < 20_000);

/** A small generator of numbers, the same in every run (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const pick = <T>(from: readonly T[], next: (below: number) => number): T => from[next(from.length)] as T;
const oddities = [
  null,
  true,
  0,
  -1,
  1e308,
  "",
  "x",
  "\ud83d",
  "\u001b[31m",
  "constructor",
  "__proto__",
  [],
  {},
  [[]],
  [null],
] as const;

/** Any JSON value, with the keys that opencode uses. */
function anyValue(next: (below: number) => number, depth = 0): unknown {
  const keys = [
    "type",
    "part",
    "state",
    "input",
    "output",
    "error",
    "data",
    "tokens",
    "cache",
    "text",
    "status",
    "metadata",
    "exit",
    "toString",
  ];
  const kind = depth > 4 ? 0 : next(4);
  if (kind < 2) return pick(oddities, next);
  const size = next(4);
  const inner = Array.from({ length: size }, () => anyValue(next, depth + 1));
  return kind === 2 ? inner : Object.fromEntries(inner.map((value) => [pick(keys, next), value]));
}

/** A recorded line with one value in it exchanged. */
function exchange(line: string, next: (below: number) => number): string {
  const at = next(12);
  let seen = 0;
  return JSON.stringify(JSON.parse(line), (_key, value: unknown) => (seen++ === at ? anyValue(next) : value)) ?? "";
}

function damage(line: string, next: (below: number) => number): string {
  const [from, to] = [next(line.length), next(line.length)];
  return pick(
    [
      line.slice(0, from),
      line.slice(from),
      line.slice(0, from) + line.slice(to),
      `${line.slice(0, from)}\u0000\u001b["{${line.slice(from)}`,
    ],
    next,
  );
}

function survive(line: string): void {
  const entries = parseStdoutLine(line, "t");
  for (const entry of entries) {
    expect(entry.ts).toBe("t");
    for (const key of ["text", "content", "name"] as const) {
      if (key in entry) expect(typeof (entry as unknown as Record<string, unknown>)[key]).toBe("string");
    }
    for (const key of ["inputTokens", "outputTokens", "cachedTokens", "costUsd"] as const) {
      if (key in entry) expect(Number.isFinite((entry as unknown as Record<string, unknown>)[key])).toBe(true);
    }
  }
  // The browser gets the entries by postMessage, which refuses what cannot be cloned.
  expect(structuredClone(entries)).toEqual(entries);
  for (const debug of [true, false])
    expect(formatLine(line, { colour: false, verbose: debug })).not.toMatch(
      /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/,
    );
}

describe("nothing throws on", () => {
  it.each([1, 2, 3, 4])("recorded lines with a value exchanged (%i)", (seed) => {
    const next = numbers(seed);
    for (let round = 0; round < 500; round++) survive(exchange(pick(lines, next), next));
  });

  it.each([5, 6])("damaged lines (%i)", (seed) => {
    const next = numbers(seed);
    for (let round = 0; round < 500; round++) survive(damage(pick(lines, next), next));
  });

  it.each([7, 8])("any JSON (%i)", (seed) => {
    const next = numbers(seed);
    for (let round = 0; round < 1_000; round++) survive(JSON.stringify(anyValue(next)));
  });
});

describe("a megabyte does not stall", () => {
  const size = 1 << 20;
  const big = "x".repeat(size);
  const tool = (state: object) => JSON.stringify({ type: "tool_use", part: { tool: "bash", state } });
  it.each([
    ["of text", JSON.stringify({ type: "text", part: { text: big } })],
    ["of short lines of text", JSON.stringify({ type: "text", part: { text: "a\n".repeat(size / 2) } })],
    ["of thinking", JSON.stringify({ type: "reasoning", part: { text: "a b\n".repeat(size / 4) } })],
    ["of a tool's output", tool({ status: "completed", input: { a: big }, output: "y\n".repeat(size / 2) })],
    ["of a tool's error", tool({ status: "error", error: big })],
    [
      "of a tool's input, wide",
      tool({ status: "running", input: Array.from({ length: size / 8 }, (_, index) => [index]) }),
    ],
    ["of an error", JSON.stringify({ type: "error", error: { name: "E", data: { message: big } } })],
    ["of escapes", "\u001b[".repeat(size / 2)],
    ["of an endless escape", `\u001b[${"1;".repeat(size / 2)}`],
    ["of spaces within", `a${" ".repeat(size)}b`],
    ["of brackets", "[".repeat(size)],
    ["of open objects", '{"a":'.repeat(size / 5)],
    ["of half a line", `{"type":"text","part":{"text":"${big}`],
  ])("%s", (_what, line) => {
    const started = performance.now();
    parseStdoutLine(line, "t");
    for (const colour of [true, false]) formatLine(line, { colour, verbose: colour });
    // No measure of speed: a tenth of a second on a quiet machine, for all three, and minutes in a quadratic way.
    expect(performance.now() - started).toBeLessThan(60_000);
  });
});
