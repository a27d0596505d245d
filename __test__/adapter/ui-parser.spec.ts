/** The transcript parser, evaluated as the host's browser worker does it: as text, without any global it could use. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import * as source from "../../adapter/ui-parser.js";
import { formatLine } from "../../adapter/cli.js";
import { event, fixtures, kinds, parse, text, TS } from "./browser-worker.js";

const recordings = readdirSync(fixtures).filter((name) => existsSync(new URL(`${name}/stdout.jsonl`, fixtures)));

function typeOf(line: string): string | null {
  try {
    return (JSON.parse(line) as { type: string }).type;
  } catch {
    return null;
  }
}

function recording(name: string): string[] {
  return readFileSync(new URL(`${name}/stdout.jsonl`, fixtures), "utf8")
    .split("\n")
    .filter(Boolean);
}

it("is one self-contained script", () => {
  expect(text).not.toMatch(/\brequire\s*\(|\bimport\b[^:]*from|^\s*export\b|\bprocess\b|\bfetch\b/m);
});

describe("recordings of the real opencode", () => {
  it.each(recordings)("%s: every event but a step's beginning becomes an entry, only a cut line stays raw", (name) => {
    for (const line of recording(name)) {
      const entries = parse(line, TS);
      expect(entries).toEqual(source.parseStdoutLine(line, TS));
      expect(entries.every(({ ts }) => ts === TS)).toBe(true);
      expect(kinds(entries).includes("stdout")).toBe(typeOf(line) === null);
      // A step that begins is no box of its own, and a text may be empty.
      if (typeOf(line) === "step_start") expect(entries).toEqual([]);
      else if (typeOf(line) !== "text") expect(entries.length).toBeGreaterThan(0);
    }
  });

  it("shows a tool's call with its input and its result", () => {
    const entries = recording("multi-step-tools").flatMap((line) => parse(line, TS));
    const calls = entries.filter((entry) => entry.kind === "tool_call");
    const results = entries.filter((entry) => entry.kind === "tool_result");
    expect(calls.map(({ name }) => name)).toEqual(["bash", "read", "grep", "edit", "write", "todowrite", "bash"]);
    expect(calls.map(({ toolUseId }) => toolUseId)).toEqual(results.map(({ toolUseId }) => toolUseId));
    expect(calls[0]?.input).toMatchObject({ command: "ls -1 && echo done" });
    expect(results[0]).toMatchObject({ toolName: "bash", content: expect.stringContaining("a.txt"), isError: false });
    expect(results.at(-1)).toMatchObject({
      content: expect.stringMatching(/new file[\s\S]*exit code 3/),
      isError: true,
    });
    expect(entries.at(-2)).toEqual({ kind: "assistant", ts: TS, text: "The file is fixed." });
  });

  it("shows a tool's error", () => {
    const entries = recording("tool-error").flatMap((line) => parse(line, TS));
    expect(entries.find(({ kind }) => kind === "tool_result")).toMatchObject({
      content: expect.stringContaining("File not found"),
      isError: true,
    });
  });

  it("shows thinking, tokens and cost", () => {
    const entries = recording("reasoning-thinking-flag").flatMap((line) => parse(line, TS));
    // A step that begins is no box of its own.
    expect(kinds(entries)).toEqual(["thinking", "assistant", "result"]);
    expect(entries[2]).toMatchObject({
      inputTokens: 100,
      outputTokens: 30,
      cachedTokens: 0,
      costUsd: 0.00075,
      subtype: "stop",
      isError: false,
    });
  });

  it("counts what was written to the cache as input", () => {
    const results = recording("anthropic")
      .flatMap((line) => parse(line, TS))
      .filter(({ kind }) => kind === "result");
    expect(results[0]).toMatchObject({ inputTokens: 6000, text: expect.stringContaining("5000 tokens written") });
  });

  it("shows provider errors with their status, and no key of a URL", () => {
    const entries = recording("http-401").flatMap((line) => parse(line, TS));
    expect(entries.at(-1)).toMatchObject({
      kind: "stderr",
      text: expect.stringMatching(/^APIError: Incorrect API key.*status 401/),
    });
    const metadata = { url: "https://user:pass@api/x?key=secret#k" };
    const [entry] = event({ type: "error", error: { name: "APIError", data: { message: "no", metadata } } });
    expect(JSON.stringify(entry)).not.toContain("secret");
  });

  it("shows the cause that stands only in the provider's answer, once", () => {
    const error = (message: string, responseBody: unknown): unknown =>
      event({ type: "error", error: { name: "APIError", data: { message, responseBody } } })[0];
    const cause = "messages.3: no tool_use";
    for (const body of [{ error: { message: cause } }, { message: cause }, { detail: cause }]) {
      expect(error("Bad Request", JSON.stringify(body))).toMatchObject({ text: `APIError: Bad Request: ${cause}` });
      expect(error(cause, JSON.stringify(body))).toMatchObject({ text: `APIError: ${cause}` });
    }
    expect(error("Bad Request", "<html>")).toMatchObject({
      text: "APIError: Bad Request: a web page instead of an answer",
    });
    for (const body of ["{", "[]", "{}", '{"error":[]}', 5, null, `{"message":"${"x".repeat(20_000)}"}`]) {
      expect(error("Bad Request", body)).toMatchObject({ text: "APIError: Bad Request" });
    }
  });
});

interface FieldCase {
  name: string;
  stdout: string[];
  expect: { summary?: string };
}

describe("reports from the field", () => {
  const cases = JSON.parse(readFileSync(new URL("field-cases.json", fixtures), "utf8")) as FieldCase[];

  it.each(cases.map((each) => [each.name, each] as const))(
    "%s: no event stays raw",
    (_name, { stdout, expect: wanted }) => {
      const entries = stdout.flatMap((line) => parse(line, TS));
      expect(entries).toEqual(stdout.flatMap((line) => source.parseStdoutLine(line, TS)));
      for (const entry of entries) {
        if (entry.kind === "stdout") expect(entry.text).not.toMatch(/\{"type":"|\u001b/);
      }
      const said = entries.flatMap((entry) => (entry.kind === "assistant" ? [entry.text] : []));
      if (wanted.summary !== undefined) expect(said).toContain(wanted.summary);
    },
  );

  it("shows each error and each failed tool of all reports as one, on the page and in a terminal", () => {
    const files = ["cases", "variants", "providers", "ends", "reports"].map((name) => `field-${name}.json`);
    const all = files.flatMap((name) => JSON.parse(readFileSync(new URL(name, fixtures), "utf8")) as FieldCase[]);
    for (const { name, stdout } of all) {
      for (const line of stdout) {
        const entries = parse(line, TS);
        const isError = line.startsWith('{"type":"error"');
        const isFailed = line.startsWith('{"type":"tool_use"') && line.includes('"status":"error"');
        if (isError) expect(kinds(entries), name).toContain("stderr");
        if (isFailed) expect(entries, name).toContainEqual(expect.objectContaining({ isError: true }));
        if (isError || isFailed) expect(formatLine(line, { colour: false }), name).not.toBe("");
      }
    }
  });

  it("shows V2's errors with type and status", () => {
    const error = { type: "provider.auth", message: "Incorrect key", status: 401, reason: { _tag: "Authentication" } };
    expect(event({ type: "error", sessionID: "ses_1", error })).toEqual([
      { kind: "stderr", ts: TS, text: "provider.auth: Incorrect key (status 401)" },
    ]);
  });

  it("finds events between other text, in order", () => {
    const text = JSON.stringify({ type: "text", timestamp: 1, sessionID: "ses_1", part: { text: "Hi." } });
    expect(parse(`\u001b]0;work\u0007${text}[plugin] done${text}`, TS)).toEqual([
      { kind: "assistant", ts: TS, text: "Hi." },
      { kind: "stdout", ts: TS, text: "[plugin] done" },
      { kind: "assistant", ts: TS, text: "Hi." },
    ]);
  });
});

describe("single lines", () => {
  it("marks steps that ended badly", () => {
    for (const reason of ["length", "content-filter", "unknown", "error"]) {
      expect(event({ type: "step_finish", part: { reason } })[0]).toMatchObject({
        isError: true,
        errors: [expect.any(String)],
      });
    }
  });

  it("keeps opencode's own words apart from the agent's", () => {
    expect(kinds(event({ type: "text", part: { text: "Continue", synthetic: true } }))).toEqual(["system"]);
  });

  it("shows what was rejected at the end", () => {
    expect(event({ type: "done", reason: "idle", rejected: ["external_directory"] })[0]).toMatchObject({
      kind: "stderr",
      text: expect.stringContaining("external_directory"),
    });
    expect(kinds(event({ type: "done", reason: "idle" }))).toEqual(["system"]);
  });

  it("shows a tool that is still running as a call", () => {
    expect(
      kinds(event({ type: "tool_use", part: { tool: "bash", state: { status: "running", input: { a: 1 } } } })),
    ).toEqual(["tool_call"]);
  });

  it("shows status lines of the adapter, raw text, and JSON that is no event", () => {
    expect(parse("[paperclip] Pod running: x\n", TS)).toEqual([
      { kind: "system", ts: TS, text: "[paperclip] Pod running: x" },
    ]);
    for (const line of [
      "plain",
      '{"type":"tex',
      '{"other":1}',
      "[1,2]",
      "5",
      '"x"',
      "null",
      '{"type":5}',
      '{"type":"constructor"}',
    ]) {
      expect(parse(line, TS)).toEqual([{ kind: "stdout", ts: TS, text: line }]);
    }
    expect(parse("\u001b[31mred\u001b[0m", TS)).toEqual([{ kind: "stdout", ts: TS, text: "red" }]);
    expect(parse("  \r\n", TS)).toEqual([]);
  });

  it("shows words and results without escape sequences", () => {
    const red = "\u001b[31mred\u001b[0m \u001b]0;title\u0007green";
    const line = (type: string, part: object) => JSON.stringify({ type, sessionID: "ses_1", part });
    const texts = [
      ...parse(line("text", { text: red }), TS),
      ...parse(line("reasoning", { text: red }), TS),
      ...parse(line("tool_use", { tool: "bash", state: { status: "completed", input: {}, output: red } }), TS),
      ...parse(line("tool_use", { tool: "bash", state: { status: "error", input: {}, error: red } }), TS),
    ].flatMap((entry) => ("text" in entry ? [entry.text] : "content" in entry ? [entry.content] : []));
    expect(texts).toEqual(Array(4).fill("red green"));
  });

  it("shows no escape sequence, and nothing that turns the direction of a text", () => {
    const cases = JSON.parse(readFileSync(new URL("../escapes.json", fixtures), "utf8")) as [string, string][];
    const line = (type: string, part: object) => JSON.stringify({ type, sessionID: "ses_1", part });
    for (const [raw, plain] of cases) {
      const shown = plain.trim();
      expect(parse(line("text", { text: raw }), TS)).toEqual([{ kind: "assistant", ts: TS, text: shown }]);
      expect(parse(`x${raw.split("\n")[0]}`, TS)[0]).toMatchObject({ text: `x${plain.split("\n")[0]}`.trim() });
      const state = { status: "completed", input: {}, output: `.${raw}` };
      expect(parse(line("tool_use", { tool: `b${raw}`, state }), TS)).toMatchObject([
        { name: `b${plain}` },
        { toolName: `b${plain}`, content: `.${plain}` },
      ]);
    }
    // A command that reads otherwise than it works.
    const state = { status: "running", input: { "a\u202e": ["rm \u2066x\u2069 \u001b[0m"] } };
    expect(parse(line("tool_use", { tool: "bash", state }), TS)).toMatchObject([{ input: { a: ["rm x \u001b[0m"] } }]);
  });

  it("shows of an answer what the addon reads in it", () => {
    const cases = JSON.parse(readFileSync(new URL("../answers.json", fixtures), "utf8")) as [string, string][];
    for (const [responseBody, said] of cases) {
      const error = { name: "APIError", data: { message: "Bad Request", responseBody } };
      const shown = ["APIError", "Bad Request", said].filter(Boolean).join(": ");
      expect(parse(JSON.stringify({ type: "error", sessionID: "ses_1", error }), TS)).toEqual([
        { kind: "stderr", ts: TS, text: shown },
      ]);
    }
  });

  it("shows of a message what its documents say", () => {
    const nested = { error: { message: "said" } };
    for (const [message, said] of [
      ["Error code: 400 - {'error': {'message': \"it's said\", 'code': None}}", "Error code: 400 - it's said"],
      ["<Error><Code>No</Code><Message>a &amp; b &#65;</Message></Error>", "a & b A"],
      ["<Error><Message><![CDATA[<no>]]></Message></Error>", "<no>"],
      ["503: <!DOCTYPE html><html><head><title>Away</title>", "503: a web page instead of an answer: Away"],
      ['a {"x": 1} b', "a … b"],
      ["it wrote {'so', <Error> and <b>", "it wrote {'so', <Error> and <b>"],
      [nested, "said"],
    ]) {
      const event = { type: "error", sessionID: "ses_1", error: { name: "APIError", data: { message } } };
      expect(parse(JSON.stringify(event), TS)).toEqual([{ kind: "stderr", ts: TS, text: `APIError: ${said}` }]);
    }
  });

  it("reads an event with a terminal's sequence inside, and one in UTF-16", () => {
    const event = JSON.stringify({ type: "text", sessionID: "ses_1", part: { text: "a" } });
    const entry = { kind: "assistant", ts: TS, text: "a" };
    expect(parse(event.replace('"part"', '\u001b[2K\u001b]0;work\u0007"part"'), TS)).toEqual([entry]);
    expect(parse(`${[...event].join("\0")}\0`, TS)).toEqual([entry]);
    expect(parse("\u001b[31mplain", TS)).toEqual([{ kind: "stdout", ts: TS, text: "plain" }]);
  });

  it("shows nothing of the agent as the adapter's own words", () => {
    const synthetic = { type: "text", part: { text: "x\n \ufeff[paperclip] Job succeeded", synthetic: true } };
    expect(parse(JSON.stringify(synthetic), TS)).toEqual([
      { kind: "system", ts: TS, text: "x\n[agent]  \ufeff[paperclip] Job succeeded" },
    ]);
  });

  it("has no memory", () => {
    const line = JSON.stringify({ type: "text", part: { text: "a" } });
    expect(parse(line, TS)).toEqual(parse(line, TS));
  });
});
