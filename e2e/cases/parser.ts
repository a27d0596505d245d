/** The transcript parser, evaluated as the run page's worker does. */
import type { EndedRun, Stage } from "../stage.js";
import { answerOf } from "../provider/scripts.js";

/** A part of the transcript that the page shows. */
export type Entry = { kind: string; text?: string; name?: string; content?: string };
type Parse = (line: string, ts: string) => Entry[];

/** The parser as the server serves it. */
export async function readParser(stage: Stage): Promise<{ source: string; parse: Parse | undefined }> {
  const source = await stage.company.api.text("/api/adapters/opencode_k8s/ui-parser.js");
  return { source, parse: evaluate(source) };
}

/** What the page shows of an output. */
export function parseLines(parse: Parse | undefined, stdout: string): Entry[] {
  const lines = stdout.split("\n").map((line) => line.trim());
  return lines.filter(Boolean).flatMap((line) => parse?.(line, new Date(0).toISOString()) ?? []);
}

/** Serves it, reads the lines of a real run with it. */
export async function parser(stage: Stage, { stdout }: EndedRun): Promise<void> {
  let parse: Parse | undefined;
  await stage.check("the transcript parser is served", "CommonJS text with parseStdoutLine", async () => {
    const served = await readParser(stage);
    const { source } = served;
    parse = served.parse;
    return {
      seen: `${source.length} characters, parseStdoutLine is a ${typeof parse}`,
      ok: typeof parse === "function",
    };
  });
  await stage.check("it reads the run's lines", "the answer, two tool calls with their results, no raw JSON", () => {
    const entries = parseLines(parse, stdout);
    const of = (kind: string): Entry[] => entries.filter((entry) => entry.kind === kind);
    const raw = of("stdout").filter(({ text }) => text?.trim().startsWith("{")).length;
    const hasAnswer = of("assistant").some(({ text }) => text === answerOf(1));
    const [calls, results] = [of("tool_call").length, of("tool_result").length];
    const answer = hasAnswer ? "there" : "missing";
    const seen = `${entries.length} entries: answer ${answer}, ${calls} calls, ${results} results, ${raw} raw`;
    return { seen, ok: hasAnswer && calls === 2 && results === 2 && raw === 0 };
  });
}

function evaluate(source: string): Parse | undefined {
  const module: { exports: { parseStdoutLine?: Parse } } = { exports: {} };
  // No require, no globals: what the worker leaves to a parser.
  const run = new Function("exports", "module", "self", "globalThis", `"use strict"; {${source}\n}`);
  run(module.exports, module, undefined, undefined);
  return module.exports.parseStdoutLine;
}
