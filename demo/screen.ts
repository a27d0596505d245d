/** What the demo shows: the run as it happens, then a summary. */
import { stripVTControlCharacters } from "node:util";

import type { AdapterExecutionResult } from "@paperclipai/adapter-utils";

import { formatLine } from "../adapter/cli.js";
import type { Delays } from "./delays.js";

const COLOURS = { bold: 1, dim: 2, red: 31, green: 32, cyan: 36 } as const;

/** Prints to the terminal; colours only when it is one. */
export class Screen {
  constructor(
    private readonly out: NodeJS.WriteStream = process.stdout,
    private readonly colour = process.stdout.isTTY === true && !process.env["NO_COLOR"],
  ) {}

  title(text: string): void {
    this.print(this.paint(text, "bold"));
  }

  /** A chunk of the run's log, as the host gets it. */
  log(stream: "stdout" | "stderr", chunk: string): void {
    for (const line of chunk.split("\n")) {
      if (line === "") continue;
      // What an agent wrote may hold control sequences of its own.
      if (stream === "stderr") this.print(this.paint(`! ${stripVTControlCharacters(line)}`, "red"));
      else if (line.startsWith("[paperclip] ")) this.print(this.paint(line, "cyan"));
      else this.show(formatLine(line, { colour: this.colour }));
    }
  }

  summary(result: AdapterExecutionResult, delays: Delays, seconds: number): void {
    const log = (result.resultJson?.["log"] ?? {}) as { bytes?: number; proof?: string };
    const { inputTokens = 0, outputTokens = 0, cachedInputTokens = 0 } = result.usage ?? {};
    const succeeded = isSuccess(result);
    const rows: [string, string][] = [
      ["outcome", succeeded ? "succeeded" : `failed (${result.errorCode ?? "no code"})`],
      ...(result.errorMessage ? ([["message", result.errorMessage]] satisfies [string, string][]) : []),
      ["answer", firstLine(result.summary) || "none"],
      ["session", result.sessionId ?? "none"],
      ["tokens", `${inputTokens} in, ${cachedInputTokens} cached, ${outputTokens} out`],
      ["cost", result.costUsd == null ? "unknown" : `$${result.costUsd.toFixed(4)}`],
      ["log", `${log.bytes ?? 0} bytes, ${log.proof ?? "not read"}`],
      ["delivery", delays.describe()],
      ["wall time", `${seconds.toFixed(1)} s`],
    ];
    this.print("");
    for (const [name, value] of rows) {
      const shown = name === "outcome" ? this.paint(value, succeeded ? "green" : "red") : value;
      this.print(`${this.paint(name.padEnd(10), "dim")} ${shown}`);
    }
  }

  private show(text: string): void {
    if (text) this.print(text);
  }

  private print(text: string): void {
    this.out.write(`${text}\n`);
  }

  private paint(text: string, style: keyof typeof COLOURS): string {
    return this.colour ? `\u001b[${COLOURS[style]}m${text}\u001b[0m` : text;
  }
}

/** As the host decides it. */
export function isSuccess(result: AdapterExecutionResult): boolean {
  return !result.timedOut && (result.exitCode ?? 0) === 0 && !result.errorMessage && !result.signal;
}

function firstLine(text: string | null | undefined): string {
  return (text ?? "").trim().split("\n", 1)[0] ?? "";
}
