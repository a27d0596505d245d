/**
 * The setting `transcript: text`: readable lines for the host instead of opencode's events, for pages that show an
 * external adapter's output as it is. Usage, summary and errors are worked out from the events all the same.
 */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import { callHostWithin } from "../host/calls.js";
import { formatLine } from "./terminal.js";

/** A longer unfinished line is given as it is. */
const LONGEST_LINE = 1024 * 1024;
/** The host cuts longer chunks in their middle. */
const LONGEST_CHUNK = 32 * 1024;

/** How long the last line of a run's log may take: the result waits for it. */
const END_MS = 5_000;

type OnLog = AdapterExecutionContext["onLog"];

/** Runs an agent with the log that its settings ask for. */
export function withTranscript<T>(
  execute: (ctx: AdapterExecutionContext) => Promise<T>,
): (ctx: AdapterExecutionContext) => Promise<T> {
  return async function executeWithTranscript(ctx) {
    const { transcript } = (ctx.config ?? {}) as { transcript?: unknown };
    // As the addon takes a choice: whatever its case.
    if (typeof transcript !== "string" || transcript.trim().toLowerCase() !== "text") return execute(ctx);
    const log = readableLog((stream, chunk) => ctx.onLog(stream, chunk));
    try {
      return await execute({ ...ctx, onLog: log.onLog });
    } finally {
      // What the host does with the end of a run's log does not change the run.
      await callHostWithin(() => log.end(), END_MS);
    }
  };
}

/** An `onLog` that makes text of events, and its end. */
export function readableLog(onLog: OnLog): { onLog: OnLog; end: () => Promise<void> } {
  let unfinished = "";
  const give = async (text: string): Promise<void> => {
    for (let at = 0; at < text.length; ) {
      let end = Math.min(at + LONGEST_CHUNK, text.length);
      // Not between the halves of one character.
      if (end < text.length && /[\uD800-\uDBFF]/.test(text[end - 1] ?? "")) end -= 1;
      await onLog("stdout", text.slice(at, end));
      at = end;
    }
  };
  // A chunk is many calls, and the next one may come before a slow host has taken them all.
  let last: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
  const takeOut = async (chunk: string): Promise<void> => {
    // Only the new piece is searched: a long line comes in many.
    const lines = chunk.split("\n");
    lines[0] = unfinished + (lines[0] ?? "");
    unfinished = lines.pop() ?? "";
    if (unfinished.length > LONGEST_LINE) {
      lines.push(unfinished);
      unfinished = "";
    }
    // One by one: what the host masks, such as a word after `authorization:`, may take the rest of its chunk along.
    for (const line of lines) await give(readable(line));
  };
  return {
    onLog: async (stream, chunk) => (stream === "stdout" ? inTurn(() => takeOut(chunk)) : onLog(stream, chunk)),
    end: () => inTurn(() => give(readable(unfinished))),
  };
}

function readable(line: string): string {
  const text = line === "" ? "" : formatLine(line, { colour: false });
  return text === "" ? "" : `${text}\n`;
}
