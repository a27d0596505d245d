/** Every recording of the real opencode through the entry: judgement, parser, transcript and command line agree. */
import { readdirSync, readFileSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";

import type { TranscriptEntry } from "@paperclipai/adapter-utils";
import { describe, expect, it } from "vitest";

import { formatLine } from "../../adapter/cli.js";
import { adapter } from "./package.js";

const fixtures = new URL("../../fixtures/opencode/", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, fixtures), "utf8");

/** What a person says who reads the recording; `tests/it/opencode/recordings.rs` reads the same file. */
interface Verdict {
  success: boolean;
  summary?: string;
  code?: string;
  message?: string;
  session?: "kept" | "untouched" | "cleared";
  retry?: "no" | "maybe" | "transient_upstream" | "model_refusal";
  model?: string;
  resumes?: string;
  why: string;
}

const verdicts = Object.entries(JSON.parse(read("verdicts.json")) as Record<string, Verdict>);

function judge(name: string, verdict: Verdict) {
  const { exitCode, signal } = JSON.parse(read(`${name}/meta.json`)) as {
    exitCode: number | null;
    signal: string | null;
  };
  return adapter.resolveOutcome({
    stdout: read(`${name}/stdout.jsonl`),
    stderr: read(`${name}/stderr.txt`),
    exitCode,
    signal: exitCode === null ? signal : null,
    logState: "proven",
    model: verdict.model ?? "fake/x",
    ...(verdict.resumes === undefined ? {} : { session: verdict.resumes }),
  });
}

function entries(name: string): TranscriptEntry[] {
  return read(`${name}/stdout.jsonl`)
    .split("\n")
    .flatMap((line) => adapter.parseStdoutLine(line, ""));
}

const of = <K extends TranscriptEntry["kind"]>(all: TranscriptEntry[], kind: K) =>
  all.filter((entry): entry is Extract<TranscriptEntry, { kind: K }> => entry.kind === kind);
const sum = (numbers: (number | undefined)[]): number =>
  numbers.reduce<number>((total, next) => total + (next ?? 0), 0);

it("every recording has a verdict", () => {
  const recordings = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(verdicts.map(([name]) => name).sort()).toEqual(recordings.map(({ name }) => name).sort());
});

describe.each(verdicts)("%s", (name, verdict) => {
  it(`is ${verdict.code ?? "a success"}: ${verdict.why}`, () => {
    const result = judge(name, verdict);
    expect(result.errorCode ?? undefined).toBe(verdict.code);
    expect(result.exitCode === 0).toBe(verdict.success);
    expect(result.timedOut).toBe(false);
    if (verdict.success) {
      expect(result).toMatchObject({ errorMessage: null, signal: null, summary: verdict.summary, clearSession: false });
      expect(result.sessionParams?.["sessionId"]).toBe(result.sessionId);
      return;
    }
    expect(result.errorMessage).toContain(verdict.message);
    expect(Buffer.byteLength(result.errorMessage ?? "")).toBeLessThanOrEqual(2048);
    expect(result.errorMessage).not.toMatch(/\{"|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    expect(result.clearSession).toBe(verdict.session === "cleared");
    expect(Boolean(result.sessionId)).toBe(verdict.session === "kept");
    const { retry } = verdict;
    expect(result.errorFamily ?? null).toBe(retry === "no" || retry === "maybe" ? null : retry);
    expect(result.errorMeta?.["retryable"]).toBe(retry === "maybe" || retry === "transient_upstream");
  });

  it("shows in the transcript what the judgement counted", () => {
    const result = judge(name, verdict);
    const shown = entries(name);
    const steps = of(shown, "result");
    expect(sum(steps.map((step) => step.inputTokens))).toBe(result.usage?.inputTokens);
    expect(sum(steps.map((step) => step.outputTokens))).toBe(result.usage?.outputTokens);
    expect(sum(steps.map((step) => step.cachedTokens))).toBe(result.usage?.cachedInputTokens);
    expect(sum(steps.map((step) => step.costUsd))).toBeCloseTo(result.costUsd ?? 0, 9);
    const calls = of(shown, "tool_call");
    expect(calls.length).toBe(result.resultJson?.["toolCalls"]);
    expect(of(shown, "tool_result").map(({ toolUseId }) => toolUseId)).toEqual(calls.map(({ toolUseId }) => toolUseId));
    const failed = result.resultJson?.["toolErrors"] as { error: string }[];
    const shownErrors = of(shown, "tool_result")
      .filter(({ isError }) => isError)
      .map(({ content }) => content);
    for (const { error } of failed) expect(shownErrors.join("\n")).toContain(error);
    if (verdict.summary) {
      const said = of(shown, "assistant").map(({ text }) => text);
      expect(said.join("\n\n")).toContain(verdict.summary);
    }
  });

  it("reads the same on the command line", () => {
    const plain = (line: string) => formatLine(line, { colour: false, verbose: true });
    const text = read(`${name}/stdout.jsonl`).split("\n").map(plain).filter(Boolean).join("\n");
    const words = (of(entries(name), "assistant").at(-1)?.text ?? "").replace(
      /\u001b\[[0-9;]*m|[\u0000-\u0008\u000b-\u001f]/g,
      "",
    );
    expect(text).toContain(words);
    for (const { text: error } of of(entries(name), "stderr")) expect(text).toContain(`✗ ${error}`);
  });

  it("parses to the same session, tokens and errors", () => {
    const result = judge(name, verdict);
    const parsed = adapter.parseOpenCodeJsonl(read(`${name}/stdout.jsonl`));
    if (verdict.session !== "cleared") expect(parsed.sessionId).toBe(result.sessionId ?? null);
    expect(parsed.usage.inputTokens + (parsed["cacheWriteTokens"] as number)).toBe(result.usage?.inputTokens);
    expect(parsed.usage.outputTokens).toBe(result.usage?.outputTokens);
    expect(parsed.costUsd).toBeCloseTo(result.costUsd ?? 0, 9);
    // The parser gives texts as they are, as the TypeScript adapter's does.
    const said = stripVTControlCharacters(parsed.summary).replaceAll("\u0000", "");
    if (verdict.summary) expect(said).toContain(verdict.summary);
    expect(parsed.errorMessage === null).toBe(of(entries(name), "stderr").length === 0);
  });
});

describe("what are no facts", () => {
  const facts = { stdout: "", stderr: "", exitCode: 0, logState: "proven" };
  const wrong: [key: string, value: unknown, message: string][] = [
    ["stdout", undefined, "facts.stdout must be a text, it is undefined"],
    ["stdout", 5, "facts.stdout must be a text, it is a number"],
    ["stderr", undefined, "facts.stderr must be a text, it is undefined"],
    ["logState", undefined, "facts.logState must be a text, it is undefined"],
    ["logState", "x", "facts.logState: unknown variant `x`, expected one of `proven`, `counted`"],
    ["exitCode", undefined, "facts.exitCode must be a whole number, or null where nobody knows it"],
    ["exitCode", "0", "facts.exitCode must be a whole number"],
    // Cut to an integer it would be the success that it is not.
    ["exitCode", 0.5, "facts.exitCode must be a whole number"],
    ["exitCode", Number.NaN, "facts.exitCode must be a whole number"],
    ["signal", 9, "facts.signal must be a text, it is a number"],
    ["reason", {}, "facts.reason must be a text, it is an object"],
    ["timedOut", "no", "facts.timedOut must be true or false, it is a text"],
    ["timeoutSec", "60", "facts.timeoutSec must be a number, it is a text"],
    ["cancelled", 1, "facts.cancelled must be true or false, it is a number"],
    ["model", 5, "facts.model must be a text, it is a number"],
  ];
  const thrownBy = (given: unknown): unknown => {
    try {
      return adapter.resolveOutcome(given as never);
    } catch (error) {
      return error;
    }
  };

  it.each(wrong)("is refused by its name: %s = %j", (key, value, message) => {
    const error = thrownBy({ ...facts, [key]: value });
    expect(error).toBeInstanceOf(TypeError);
    expect((error as TypeError).message).toContain(message);
  });

  it("is refused where it is no object of facts, and takes null for what nobody knows", () => {
    for (const given of [undefined, null, "x", [], {}, new Date(0)]) expect(thrownBy(given)).toBeInstanceOf(TypeError);
    const unknown = { exitCode: null, signal: null, reason: null, timedOut: null, cancelled: null, model: null };
    expect(thrownBy({ ...facts, ...unknown, timeoutSec: null })).toMatchObject({ errorCode: "unknown_outcome" });
  });
});
