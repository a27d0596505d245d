/** Shows a run's log in a terminal: one line of the log in, readable text out. */
import type { CLIAdapterModule, TranscriptEntry } from "@paperclipai/adapter-utils";

import { terminalHasColours } from "../host/environment.js";
import { asAgents, OWN, parseStdoutLine } from "./stdout-line.js";
import { type } from "../host/version.js";

export { parseStdoutLine };

/** How a line is shown. */
export interface FormatOptions {
  /** Adds ANSI colours. */
  colour: boolean;
  /** Shows everything: what opencode told the model, whole inputs and whole results. */
  verbose?: boolean | undefined;
  /** The line stands in a file that only the agent writes: none of it is the adapter's. */
  isAgents?: boolean;
}

const RESULT_LINES = 8;
const LINE_CHARS = 200;

const ansi = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
type Style = keyof typeof ansi;

/** One line of the log as text for a terminal; `""` for what need not be shown. Pure, never throws. */
export function formatLine(line: string, options: FormatOptions): string {
  return parseStdoutLine(options.isAgents ? asAgents(line) : line, "")
    .map((entry) => formatEntry(entry, options))
    .filter(Boolean)
    .join("\n");
}

/** Prints one line of the log; nothing for what need not be shown. */
export function formatStdoutEvent(line: string, debug: boolean): void {
  const text = formatLine(line, { colour: terminalHasColours(), verbose: debug });
  if (text) console.log(text);
}

/** The module of the host's command line. */
export const cliAdapter: CLIAdapterModule = { type, formatStdoutEvent };

function isOwn(entry: TranscriptEntry): boolean {
  return entry.kind === "system" && entry.text.startsWith(OWN);
}

function formatEntry(entry: TranscriptEntry, options: FormatOptions): string {
  // Before it has colours, which would stand in front of what is looked for.
  const marked = (text: string): string => (isOwn(entry) ? text : asAgents(text));
  const paint: Paint = (text, ...styles) => colourise(marked(printable(text)), options.colour, styles);
  switch (entry.kind) {
    case "assistant":
      return paint(entry.text);
    case "thinking":
      return paint(prefixLines("· ", shorten(entry.text, options)), "dim");
    case "tool_call": {
      const input = paint(summarise(entry.input, options), "cyan");
      return `${paint(`→ ${entry.name}`, "cyan", "bold")} ${input}`.trimEnd();
    }
    case "tool_result":
      return paint(
        prefixLines(entry.isError ? "  ✗ " : "  ", shorten(entry.content, options)),
        entry.isError ? "red" : "dim",
      );
    case "result":
      return formatStep(entry, paint);
    case "stderr":
      return paint(`✗ ${entry.text}`, "red");
    case "system":
      return formatSystem(entry.text, options, paint);
    case "stdout":
      return paint(entry.text);
    default:
      return "";
  }
}

type Paint = (text: string, ...styles: Style[]) => string;

function formatStep(entry: Extract<TranscriptEntry, { kind: "result" }>, paint: Paint): string {
  const facts = [
    `${entry.inputTokens} in`,
    `${entry.outputTokens} out`,
    entry.cachedTokens > 0 ? `${entry.cachedTokens} cached` : "",
    entry.costUsd > 0 ? `$${entry.costUsd.toFixed(4)}` : "",
  ].filter(Boolean);
  const line = paint(`■ ${entry.text} (${facts.join(", ")})`, "dim");
  return [line, ...entry.errors.map((error) => paint(`✗ ${error}`, "red"))].join("\n");
}

function formatSystem(text: string, options: FormatOptions, paint: Paint): string {
  if (text.startsWith(OWN)) return paint(text, "blue");
  return options.verbose ? paint(text, "dim") : "";
}

/** A tool's input in one line: the value itself if there is only one, else `key=value`. */
function summarise(input: unknown, options: FormatOptions): string {
  if (options.verbose) return JSON.stringify(input) ?? "";
  const entries = typeof input === "object" && input !== null ? Object.entries(input) : [];
  const text =
    entries.length === 1 ? show(entries[0]?.[1]) : entries.map(([key, value]) => `${key}=${show(value)}`).join(" ");
  return cut(text);
}

function show(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return cut(text.replace(/\s+/g, " "));
}

function shorten(text: string, { verbose }: FormatOptions): string {
  if (verbose) return text;
  const lines = text.trimEnd().split("\n");
  const kept = lines.slice(0, RESULT_LINES).map(cut);
  if (lines.length > RESULT_LINES) kept.push(`… and ${lines.length - RESULT_LINES} more`);
  return kept.join("\n");
}

function cut(text: string): string {
  return text.length <= LINE_CHARS ? text : `${text.slice(0, LINE_CHARS)}…`;
}

function prefixLines(prefix: string, text: string): string {
  return prefix + text.replaceAll("\n", `\n${" ".repeat(prefix.length)}`);
}

/** Agents print what they like; control characters must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}

function colourise(text: string, colour: boolean, styles: Style[]): string {
  if (!colour || styles.length === 0 || text === "") return text;
  return `\u001b[${styles.map((style) => ansi[style]).join(";")}m${text}\u001b[0m`;
}
