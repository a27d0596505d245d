/** The built transcript parser as the host's browser worker has it: a text, without any global it could use. */
import { existsSync, readFileSync } from "node:fs";

import type { TranscriptEntry } from "@paperclipai/adapter-utils";

const built = new URL("../../dist/ui-parser.cjs", import.meta.url);
export const fixtures = new URL("../../fixtures/opencode/", import.meta.url);
export const TS = "2026-01-01T00:00:00.000Z";

type Parser = (line: string, ts: string) => TranscriptEntry[];

function loadAsWorker(): { text: string; parse: Parser } {
  if (!existsSync(built)) throw new Error("dist/ui-parser.cjs is missing: run node scripts/build.mjs --ts-only first");
  const text = readFileSync(built, "utf8");
  const module = { exports: {} as { parseStdoutLine?: Parser } };
  new Function("exports", "module", "self", "globalThis", `"use strict"; {${text}}`)(
    module.exports,
    module,
    undefined,
    undefined,
  );
  if (!module.exports.parseStdoutLine) throw new Error("no parseStdoutLine");
  return { text, parse: module.exports.parseStdoutLine };
}

export const { text, parse } = loadAsWorker();
export const event = (value: object) => parse(JSON.stringify(value), TS);
export const kinds = (entries: TranscriptEntry[]) => entries.map(({ kind }) => kind);
