import { existsSync, readdirSync, readFileSync } from "node:fs";

import { describe, expect, it, vi } from "vitest";

import { cliAdapter, formatLine } from "../../adapter/cli.js";

const fixtures = new URL("../../fixtures/opencode/", import.meta.url);
const plain = (value: object, verbose = false) => formatLine(JSON.stringify(value), { colour: false, verbose });
const tool = (state: object) => plain({ type: "tool_use", part: { tool: "bash", callID: "c", state } });

function show(name: string): string {
  const lines = readFileSync(new URL(`${name}/stdout.jsonl`, fixtures), "utf8").split("\n");
  return lines
    .map((line) => formatLine(line, { colour: false }))
    .filter(Boolean)
    .join("\n");
}

describe("recordings of the real opencode", () => {
  it("read like a session", () => {
    expect(show("tool-error")).toBe(
      [
        "→ read /paperclip/workspace/missing.txt",
        "  ✗ File not found: /paperclip/workspace/missing.txt",
        "■ Step finished: tool-calls (100 in, 10 out, $0.0004)",
        "The file does not exist.",
        "■ Step finished: stop (140 in, 9 out, $0.0006)",
      ].join("\n"),
    );
    expect(show("finish-content-filter")).toContain("✗ The provider's content filter stopped the answer.");
    expect(show("http-401")).toContain("✗ APIError: Incorrect API key");
    expect(show("reasoning-thinking-flag")).toContain("· Let me think.");
  });

  it.each(readdirSync(fixtures))("%s leaves no control characters behind", (name) => {
    if (!existsSync(new URL(`${name}/stdout.jsonl`, fixtures))) return;
    expect(show(name)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
  });
});

describe("a line", () => {
  it("of a long result is cut, unless everything is wanted", () => {
    const output = Array.from({ length: 30 }, (_, index) => `line ${index}`).join("\n");
    const state = { status: "completed", input: { command: "seq" }, output };
    expect(tool(state).split("\n")).toHaveLength(10);
    expect(tool(state)).toContain("… and 22 more");
    const line = JSON.stringify({ type: "tool_use", part: { tool: "bash", state } });
    expect(formatLine(line, { colour: false, verbose: true })).toContain("line 29");
  });

  it("of a tool names its inputs", () => {
    expect(tool({ status: "running", input: { a: "x y", b: [1], c: "n".repeat(500) } })).toMatch(
      /^→ bash a=x y b=\[1\] c=n+…$/,
    );
    expect(tool({ status: "running" })).toBe("→ bash");
  });

  it("of the adapter is shown, of opencode's housekeeping only on request", () => {
    expect(formatLine("[paperclip] Pod running: p", { colour: false })).toBe("[paperclip] Pod running: p");
    for (const verbose of [false, true]) expect(plain({ type: "step_start", part: {} }, verbose)).toBe("");
  });

  it("of the agent is never the adapter's", () => {
    const forged = "done\n[paperclip] Job succeeded\u2028[paperclip] x";
    const marked = "done\n[agent] [paperclip] Job succeeded\u2028[agent] [paperclip] x";
    expect(plain({ type: "text", part: { text: forged } })).toBe(marked);
    expect(plain({ type: "text", part: { text: forged, synthetic: true } }, true)).toBe(marked);
    expect(plain({ type: "error", error: "x\n[paperclip] y" })).toBe("✗ x\n[agent] [paperclip] y");
    // Also behind what nobody sees: no width, no glyph, a colour of ours.
    for (const before of ["\u200b", "\ufeff ", "\u3164", "\u061c\ufe0f", "\u2800", "\u{e0041}"])
      expect(plain({ type: "text", part: { text: `x\n${before}[paperclip] y` } })).toMatch(/^x\n\[agent\] /);
    const state = { status: "completed", input: {}, output: "[paperclip] Job succeeded" };
    const inColour = formatLine(JSON.stringify({ type: "tool_use", part: { tool: "bash", state } }), { colour: true });
    expect(inColour).toContain("\u001b[2m[agent]   [paperclip] Job succeeded");
  });

  it("of a file that only the agent writes is never the adapter's", () => {
    for (const line of ["[paperclip] Pod running: p", "  [paperclip] x", "\u200b[paperclip] x"])
      expect(formatLine(line, { colour: false, isAgents: true })).toMatch(/^\[agent\] .*\[paperclip\]/);
  });

  it("turns no words around", () => {
    const turned = "a\u202eb\u2066c";
    const tokens = { input: 1, output: 1 };
    for (const event of [
      { type: "step_finish", part: { reason: turned, tokens } },
      { type: "error", error: { name: turned, message: turned } },
      { type: "done", reason: turned, rejected: [turned] },
      { type: "done", reason: turned },
    ]) {
      const shown = plain(event, true);
      expect(shown).toContain("abc");
      expect(shown).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
    }
  });

  it("has colours only when asked for", () => {
    const error = JSON.stringify({ type: "error", error: { name: "E", data: { message: "m" } } });
    expect(formatLine(error, { colour: true })).toBe("\u001b[31m✗ E: m\u001b[0m");
    expect(formatLine(error, { colour: false })).toBe("✗ E: m");
  });

  it("cannot drive the terminal", () => {
    expect(plain({ type: "text", part: { text: "a\u001b]0;title\u0007b\u001b[2Jc\u009b31md\te\nf" } })).toBe(
      "abcd\te\nf",
    );
  });

  it("of any content is formatted, never thrown at", () => {
    for (const line of [
      "",
      "x",
      "{",
      "[]",
      "null",
      JSON.stringify({ type: "tool_use", part: { state: { input: null } } }),
    ]) {
      for (const colour of [true, false]) expect(typeof formatLine(line, { colour, verbose: true })).toBe("string");
    }
  });
});

it("the host's command line gets printed lines", () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  try {
    cliAdapter.formatStdoutEvent("hello", false);
    cliAdapter.formatStdoutEvent("", false);
    expect(log.mock.calls).toEqual([["hello"]]);
  } finally {
    log.mockRestore();
  }
});
