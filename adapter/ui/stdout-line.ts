/**
 * Turns one line of a run's log into entries of the host's transcript.
 *
 * The host evaluates the built text of this file in a browser worker: it must not import anything at run time, keep
 * no state between lines, and never throw.
 */
import type { TranscriptEntry } from "@paperclipai/adapter-utils";

import { saidInAnswer, withoutDocuments } from "./answer.js";
import { objectAt } from "./json-object.js";

/** What a transcript shows of one tool result; opencode itself stores the rest. */
const MAX_RESULT_CHARS = 64 * 1024;
/** What it shows of one text inside a tool's input, such as the content of a written file. */
const MAX_INPUT_TEXT_CHARS = 16 * 1024;
const MAX_INPUT_NODES = 2_000;
const MAX_INPUT_DEPTH = 20;
const MAX_RAW_CHARS = 64 * 1024;

type Json = Record<string, unknown>;

/** How the adapter's own lines begin. */
export const OWN = "[paperclip]";

/** What an agent says in the adapter's words is not the adapter's. Raw lines are marked before the host has them. */
export function asAgents(text: string): string {
  // Also behind signs that nobody sees.
  return text.replace(/^(?=(?:[^\S\n\r\u2028\u2029]|\p{DI}|\p{Cf}|\u2800)*\[paperclip\])/gmu, "[agent] ");
}

/** Parses one line; unknown and broken lines come back as raw text. */
export function parseStdoutLine(line: string, ts: string): TranscriptEntry[] {
  try {
    return parse(typeof line === "string" ? line.trim() : String(line), ts);
  } catch {
    return typeof line === "string" ? raw(line, ts) : [];
  }
}

function parse(line: string, ts: string): TranscriptEntry[] {
  if (line === "") return [];
  if (line.startsWith(OWN)) return [{ kind: "system", ts, text: clip(line, MAX_RAW_CHARS) }];
  const event = wholeObject(line);
  // What was read as a whole, and is no event, is not read a second time.
  const entries = (event && fromEvent(event, ts)) ?? glued(line, event ? 1 : 0, ts);
  if (entries) return entries;
  // A terminal's sequences in the middle of an event, or the zeros of UTF-16.
  const plain = /[\u0000\u001b]/.test(line) ? stripAnsi(line) : line;
  return (plain !== line && plain.includes(OPENING) && glued(plain, 0, ts)) || raw(line, ts);
}

/** How opencode begins each of its events. Inside a JSON string its quotes would be escaped. */
const OPENING = '{"type":"';
/** Events of one line, and places that only look like one, after which the rest is shown as it is. */
const MAX_EVENTS = 256;
const MAX_MISSES = 8;
/** How often the characters of a line are read for them, all places together. */
const MAX_READS = 2;

/** Events that an escape sequence, a plugin's text or another event stands beside; `null` where there is none. */
function glued(line: string, from: number, ts: string): TranscriptEntry[] | null {
  const entries: TranscriptEntry[] = [];
  let misses = 0;
  let shown = 0;
  let found = 0;
  let left = MAX_READS * line.length;
  for (let at = line.indexOf(OPENING, from); at >= 0 && misses <= MAX_MISSES && found < MAX_EVENTS && left > 0; ) {
    const { end = line.length, text = "" } = objectAt(line, at) ?? {};
    left -= end - at;
    const event = readObject(text);
    const made = event && string(event["sessionID"]) !== "" ? fromEvent(event, ts) : null;
    if (made) {
      entries.push(...beside(line.slice(shown, at), ts), ...made);
      shown = end;
      found++;
    } else {
      misses++;
    }
    at = line.indexOf(OPENING, made ? end : at + OPENING.length);
  }
  return found > 0 ? [...entries, ...beside(line.slice(shown), ts)] : null;
}

function beside(text: string, ts: string): TranscriptEntry[] {
  const plain = plainText(text);
  return plain === "" ? [] : [{ kind: "stdout", ts, text: plain }];
}

/** Without escape sequences, and no longer than is shown. Of a long text only the beginning is looked at. */
function plainText(text: string): string {
  const head = text.slice(0, 2 * MAX_RAW_CHARS);
  const plain = stripAnsi(head).trim();
  const cut = plain.length + text.length - head.length - MAX_RAW_CHARS;
  return cut <= 0 ? plain : `${plain.slice(0, MAX_RAW_CHARS)}\n… ${cut} more characters`;
}

/** Shorter lines are read whole: they cannot hold enough to keep a page waiting. */
const SHORT_CHARS = 64 * 1024;
/** What only a deep line, or a text, has. */
const DEEP = /(?:\[\s?){64}|(?:[\]}]\s?){256}/;

/** The line, where it is one object and not more than an event. */
function wholeObject(line: string): Json | null {
  if (!line.startsWith("{")) return null;
  if (line.length <= SHORT_CHARS && !DEEP.test(line)) return readObject(line);
  const found = objectAt(line, 0);
  return found?.end === line.length ? readObject(found.text) : null;
}

function raw(line: string, ts: string): TranscriptEntry[] {
  return beside(line, ts);
}

/** `null` for what is no event of opencode. */
function fromEvent(event: Json, ts: string): TranscriptEntry[] | null {
  const part = record(event["part"]);
  switch (event["type"]) {
    // What follows says that a step has begun; a page would draw an empty box.
    case "step_start":
      return [];
    case "text":
      return fromText(part, ts);
    case "reasoning":
      return spoken(part) ? [{ kind: "thinking", ts, text: spoken(part) }] : [];
    case "tool_use":
      return fromTool(part, ts);
    case "step_finish":
      return fromStepFinish(part, ts);
    case "error":
      return [{ kind: "stderr", ts, text: describeError(event["error"] ?? event["message"]) }];
    case "done":
      return fromDone(event, ts);
    default:
      return null;
  }
}

/** Synthetic text is opencode talking to the model, not the agent talking to people. */
function fromText(part: Json, ts: string): TranscriptEntry[] {
  const text = spoken(part);
  if (!text) return [];
  return part["synthetic"] === true
    ? [{ kind: "system", ts, text: asAgents(text) }]
    : [{ kind: "assistant", ts, text }];
}

function spoken(part: Json): string {
  return stripAnsi(string(part["text"])).trim();
}

/** opencode prints a tool once, when it has finished: call and result come from the same line. */
function fromTool(part: Json, ts: string): TranscriptEntry[] {
  const state = record(part["state"]);
  const toolName = stripAnsi(string(part["tool"])) || "tool";
  const toolUseId = string(part["callID"]) || string(part["id"]) || toolName;
  const call: TranscriptEntry = {
    kind: "tool_call",
    ts,
    name: toolName,
    input: clipInput(state["input"] ?? {}),
    toolUseId,
  };
  const status = string(state["status"]);
  if (status !== "completed" && status !== "error") return [call];
  const { content, isError } = toolResult(toolName, status, state);
  // Programs print colours, which a page shows as digits and letters.
  const shown = stripAnsi(clip(content, MAX_RESULT_CHARS));
  return [call, { kind: "tool_result", ts, toolUseId, toolName, content: shown, isError }];
}

function toolResult(tool: string, status: string, state: Json): { content: string; isError: boolean } {
  const output = string(state["output"]).trimEnd();
  if (status === "error") {
    const error = string(state["error"]) || "The tool failed without a message.";
    return { content: output ? `${output}\n${error}` : error, isError: true };
  }
  const content = output || string(state["title"]) || "(no output)";
  const metadata = record(state["metadata"]);
  // A command that fails or runs out of time is a finished tool call for opencode.
  const exit = "exit" in metadata ? metadata["exit"] : 0;
  if (exit === 0 || exit === undefined) return { content, isError: tool === "invalid" };
  const note = typeof exit === "number" ? `(exit code ${exit})` : "(ended without an exit code)";
  return { content: `${clip(content, MAX_RESULT_CHARS - 64)}\n${note}`, isError: true };
}

/** Reasons that mean more than "the step is over". */
const stepProblems: Record<string, string> = {
  length: "The answer was cut: the model reached its output limit.",
  "content-filter": "The provider's content filter stopped the answer.",
  unknown: "The model's answer ended without a reason.",
  error: "The model's answer ended with an error.",
};

function fromStepFinish(part: Json, ts: string): TranscriptEntry[] {
  const tokens = record(part["tokens"]);
  const cache = record(tokens["cache"]);
  const cacheWrite = number(cache["write"]);
  const reason = stripAnsi(string(part["reason"])) || "done";
  const problem = Object.hasOwn(stepProblems, reason) ? stepProblems[reason] : undefined;
  const errors = problem === undefined ? [] : [problem];
  const written = cacheWrite > 0 ? `, ${cacheWrite} tokens written to the cache` : "";
  return [
    {
      kind: "result",
      ts,
      text: `Step finished: ${reason}${written}`,
      // What the provider stored in its cache was read as input first.
      inputTokens: number(tokens["input"]) + cacheWrite,
      outputTokens: number(tokens["output"]) + number(tokens["reasoning"]),
      cachedTokens: number(cache["read"]),
      costUsd: number(part["cost"]),
      subtype: reason,
      isError: errors.length > 0,
      errors,
    },
  ];
}

function fromDone(event: Json, ts: string): TranscriptEntry[] {
  const rejected = list(event["rejected"]).map(string).map(stripAnsi).filter(Boolean);
  const reason = stripAnsi(string(event["reason"])) || "done";
  if (rejected.length === 0) return [{ kind: "system", ts, text: `opencode finished: ${reason}` }];
  return [{ kind: "stderr", ts, text: `opencode finished: ${reason}; rejected permissions: ${rejected.join(", ")}` }];
}

/** opencode 1.x says `{name, data}`, V2 says `{type, message, status, reason}`. */
function describeError(value: unknown): string {
  if (typeof value === "string") return plainText(withoutDocuments(value)) || "Unknown error";
  const error = record(value);
  const data = record(error["data"]);
  const http = record(error["http"]);
  const name = string(error["name"]) || string(error["type"]);
  const message = messageOf(data["message"]) || messageOf(error["message"]);
  const status = data["statusCode"] ?? error["status"] ?? http["status"];
  const url = (string(record(data["metadata"])["url"]) || string(http["url"])).slice(0, 1000);
  const facts = [
    typeof status === "number" ? `status ${status}` : "",
    // Without user, password and query, which may hold a key.
    url.split(/[?#]/, 1)[0]?.replace(/^(\w+:\/\/)[^/]*@/, "$1") ?? "",
    data["isRetryable"] === true ? "retries used up" : "",
  ].filter(Boolean);
  const cause = saidInAnswer(data["responseBody"] ?? http["body"]);
  const said = [stripAnsi(clip(name, 200)), plainText(message), message.includes(cause) ? "" : plainText(cause)];
  const text = said.filter(Boolean).join(": ") || "Unknown error";
  return facts.length > 0 ? `${text} (${facts.join(", ")})` : text;
}

/** Some pass on a provider's answer where a message should be. */
function messageOf(value: unknown): string {
  return typeof value === "string" ? withoutDocuments(value) : saidInAnswer(value);
}

/** A copy of a tool's input with long texts cut and deep or wide structures pruned. */
function clipInput(value: unknown): unknown {
  let nodes = MAX_INPUT_NODES;
  const prune = (inner: unknown, depth: number): unknown => {
    if (typeof inner === "string") return withoutTurns(clip(inner, MAX_INPUT_TEXT_CHARS));
    if (typeof inner !== "object" || inner === null) return inner;
    if (depth >= MAX_INPUT_DEPTH || nodes <= 0) return "…";
    if (Array.isArray(inner)) {
      return inner.slice(0, nodes).map((entry) => (nodes-- > 0 ? prune(entry, depth + 1) : "…"));
    }
    // Not Object.entries: of an object with very many keys that alone takes longer than to read its line.
    const kept: [string, unknown][] = [];
    for (const key in inner) {
      if (nodes-- <= 0) break;
      kept.push([withoutTurns(key), prune((inner as Json)[key], depth + 1)]);
    }
    return Object.fromEntries(kept);
  };
  return prune(value, 0);
}

function clip(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const cut = text.length - limit;
  return `${text.slice(0, limit)}\n… ${cut} more characters`;
}

/** Without what turns the direction of the text behind it: a command would read otherwise than it works. */
function withoutTurns(text: string): string {
  return text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");
}

/**
 * Removes CSI sequences, strings such as titles and links, the other sequences of two or three characters, and then
 * control characters but newlines and tabs, and what turns a text's direction.
 */
function stripAnsi(text: string): string {
  if (!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(text)) return text;
  return withoutTurns(text)
    .replace(
      /(?:\u001b\]|\u001b[PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\n\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?/g,
      "",
    )
    .replace(/(?:\u001b\[|\u009b)[0-9;:<=>?]*[ -/]*[@-~]?/g, "")
    .replace(/\u001b[()*+#% ][^\u001b]?|\u001b[^\u001b]?/g, "")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}

function readObject(line: string): Json | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
  } catch {
    return null;
  }
}

function record(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Tokens and prices are not negative, whatever a line says. */
function number(value: unknown): number {
  return typeof value === "number" && value > 0 ? Math.min(value, Number.MAX_SAFE_INTEGER) : 0;
}
