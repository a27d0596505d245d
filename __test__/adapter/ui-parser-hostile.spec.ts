/** Lines that an agent makes to hurt the page: nothing throws, and the work grows no faster than the line. */
import { describe, expect, it, vi } from "vitest";

import { formatLine } from "../../adapter/cli.js";
import { longLines } from "../../bench/ui-lines.mjs";
import { event, kinds, parse, TS } from "./browser-worker.js";

/** How many characters the functions of a text look at while this runs: a count is the same on each machine. */
function charactersRead(work: () => unknown): number {
  let read = 0;
  const text = String.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  const counted: Record<string, (self: string, args: unknown[], result: unknown) => number> = {
    charCodeAt: () => 1,
    indexOf: (self, args, result) => ((result as number) < 0 ? self.length : (result as number)) - Number(args[1] ?? 0),
    slice: (_, __, result) => (result as string).length,
    trim: (self, _, result) => self.length - (result as string).length + 1,
    trimEnd: (self, _, result) => self.length - (result as string).length + 1,
    split: (self) => self.length,
    replace: (self) => self.length,
    replaceAll: (self) => self.length,
  };
  const originals = Object.keys(counted).map((name) => [name, text[name]!] as const);
  const { parse: parseJson } = JSON;
  const { test } = RegExp.prototype;
  for (const [name, original] of originals) {
    text[name] = function (this: string, ...args: unknown[]) {
      const result = original.apply(this, args);
      read += counted[name]!(String(this), args, result);
      return result;
    };
  }
  JSON.parse = (json: string) => {
    read += json.length;
    return parseJson(json);
  };
  RegExp.prototype.test = function (this: RegExp, tested: string) {
    read += tested.length;
    return test.call(this, tested);
  };
  try {
    work();
  } finally {
    for (const [name, original] of originals) text[name] = original;
    JSON.parse = parseJson;
    RegExp.prototype.test = test;
  }
  return read;
}

describe("hostile lines", () => {
  const types = ["step_start", "text", "reasoning", "tool_use", "step_finish", "error", "done", "x"];
  const values = [
    null,
    5,
    "x",
    [],
    {},
    [[]],
    true,
    { part: 1 },
    { text: 5, state: 7, tokens: "x", cost: "1", data: [] },
  ];

  it("never throw, whatever the shape", () => {
    for (const type of types) {
      for (const value of values) {
        for (const key of ["part", "error", "rejected", "message", "reason"]) {
          expect(Array.isArray(event({ type, [key]: value }))).toBe(true);
          expect(
            Array.isArray(
              event({
                type,
                part: { state: { status: "completed", [key]: value, metadata: value, input: value, output: value } },
              }),
            ),
          ).toBe(true);
        }
      }
    }
    for (const line of [undefined, null, 5, {}, Symbol("x"), Object.create(null)]) {
      expect(Array.isArray(parse(line as string, TS))).toBe(true);
    }
  });

  it.each(Object.keys(longLines(1)))("%s: twice the length is twice the work", (kind) => {
    const [half, whole] = [1 << 19, 1 << 20].map((size) => longLines(size)[kind]!);
    const readers: Record<string, (line: string) => unknown> = {
      page: (line) => parse(line, TS),
      terminal: (line) => formatLine(line, { colour: true }),
    };
    for (const read of Object.values(readers)) {
      const work = charactersRead(() => read(whole!));
      // A line of one kind is longer than another when its quotes are escaped.
      expect(work).toBeLessThan(25 * whole!.length);
      expect(work).toBeLessThan(2.2 * charactersRead(() => read(half!)) + 500_000);
    }
  });

  it("with long answers of every kind are read at once", () => {
    for (const piece of ['{"', "{'a':", "<Error><Message>x", "<?xml ?><a>", "<![CDATA[", "<html", "&#x", "(", "\\"]) {
      const message = `<Error>{'a': '${piece.repeat(16_000 / piece.length)}`;
      const event = { type: "error", sessionID: "s", error: { name: "A", data: { message, responseBody: message } } };
      const work = charactersRead(() => parse(JSON.stringify(event), TS));
      expect(work, piece).toBeLessThan(5_000_000);
    }
  });

  it("of very many names are read once, and no further than they are shown", () => {
    const wide = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, { a: at }]));
    const read = (line: string) => {
      const parsed = vi.spyOn(JSON, "parse");
      const entries = parse(line, TS);
      const characters = parsed.mock.calls.reduce((sum, [text]) => sum + text.length, 0);
      parsed.mockRestore();
      return { entries, characters };
    };
    const state = {
      status: "completed",
      input: wide(50_000),
      output: "all done",
      metadata: { exit: 1, ...wide(50_000) },
    };
    const line = JSON.stringify({ type: "tool_use", sessionID: "s", part: { tool: "bash", callID: "c", state } });
    for (const text of [line, `plugin ${line}`]) {
      const { entries, characters } = read(text);
      const [call, result] = entries.slice(-2);
      expect(call).toMatchObject({ kind: "tool_call", name: "bash" });
      expect(Object.entries((call as { input: object }).input).slice(0, 2)).toEqual([
        ["k0", { a: 0 }],
        ["k1", { a: 1 }],
      ]);
      expect(Object.keys((call as { input: object }).input).length).toBeGreaterThan(900);
      expect(result).toMatchObject({ kind: "tool_result", content: "all done\n(exit code 1)", isError: true });
      expect(characters).toBeLessThan(200_000);
    }
    for (const type of ["another", "error"]) {
      const { entries, characters } = read(JSON.stringify({ type, sessionID: "s", error: 1, ...wide(50_000) }));
      expect(kinds(entries)).toEqual(["stdout"]);
      expect(characters).toBe(0);
    }
    const other = JSON.stringify({ type: "another", sessionID: "s", part: { text: "x".repeat(100_000) } });
    expect(read(other).characters).toBe(other.length);
  });

  it("of brackets only are not read as an event, and a text with many of them is", () => {
    const around = (value: string) => `{"type":"text","sessionID":"ses_1","part":{"text":${value}}}`;
    const nested = (times: number) => around(`${"[".repeat(times)}${"]".repeat(times)}`);
    for (const line of [nested(400_000), `x${nested(400_000)}`, around("[".repeat(900_000))]) {
      expect(kinds(parse(line, TS))).toEqual(["stdout"]);
    }
    const text = `${"[".repeat(5_000)} ${"]".repeat(5_000)}`;
    expect(parse(around(JSON.stringify(text)), TS)).toEqual([{ kind: "assistant", ts: TS, text }]);
    expect(kinds(parse(`x${around(JSON.stringify(text))}`, TS))).toEqual(["stdout", "assistant"]);
    expect(parse(nested(300), TS)).toEqual([]);
  });

  it("of one megabyte are quick and stay bounded", () => {
    const megabyte = 1 << 20;
    const big = "x".repeat(megabyte);
    const lines = [
      big,
      JSON.stringify({ type: "text", part: { text: big } }),
      JSON.stringify({
        type: "tool_use",
        part: { tool: "write", state: { status: "completed", input: { content: big }, output: big } },
      }),
      JSON.stringify({
        type: "tool_use",
        part: { tool: "x", state: { status: "error", error: big, input: Array(100_000).fill("ab") } },
      }),
      JSON.stringify({
        type: "tool_use",
        part: {
          tool: "x",
          state: { input: Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`k${n}`, n])) },
        },
      }),
      "[".repeat(megabyte),
      '{"a":'.repeat(megabyte / 5),
      "\u001b[".repeat(megabyte / 2),
      `\u001b[${"1".repeat(megabyte)}`,
      " ".repeat(megabyte),
      '{"type":"'.repeat(megabyte / 9),
      `x${'{"type":"a","b":'.repeat(megabyte / 16)}`,
      "\u001b]0;".repeat(megabyte / 4),
    ];
    const started = performance.now();
    const sizes = lines.map((line) => JSON.stringify(parse(line, TS)).length);
    // No measure of speed: parts of a second on a quiet machine, and minutes in a quadratic way.
    expect(performance.now() - started).toBeLessThan(60_000);
    // Only the agent's own words are shown whole.
    for (const [index, size] of sizes.entries()) expect(size).toBeLessThan(index === 1 ? 2 * megabyte : 300_000);
  });
});
