/** The script that the addon carries, over a stand-in for Rust: every answer is in the hands of the test. */
import { readFileSync } from "node:fs";

import type { Native } from "../../adapter/addon/native.js";

const folder = new URL("../../src/boundary/script/", import.meta.url);
const contextFields = readFileSync(new URL("../../config/context-fields.json", folder), "utf8");
const source = `const CONTEXT_FIELDS = ${contextFields};\n${["values", "crossing", "tail", "exports"]
  .map((name) => readFileSync(new URL(`${name}.js`, folder), "utf8"))
  .join("")}`;

/** One tail whose end the test decides. */
export class FakeTail {
  stops = 0;
  private given = "";
  private waiting: (() => void)[] = [];

  constructor(
    readonly number: number,
    readonly path: string,
    readonly options: Record<string, unknown>,
    private readonly send: (batch: string) => void,
  ) {}

  /** One batch of one text; resolves when the script says that it was taken. */
  give(kind: "stdout" | "notice" | "end" | "failed", text: string): Promise<void> {
    if (kind === "stdout") this.given += text;
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.send(`${text}\nt${this.number} 1 ${kind} ${text.length}`);
    });
  }

  lines(text: string): Promise<void> {
    return this.give("stdout", text);
  }

  finish(): void {
    void this.give("end", "");
  }

  text(): string | null {
    const text = this.given;
    this.given = "";
    return text || null;
  }

  taken(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

/** Evaluates the script; single functions of Rust can be replaced. */
export function loadScript(overrides: Record<string, unknown> = {}) {
  let send: (batch: string) => void = () => {};
  let runs = 0;
  const tails: FakeTail[] = [];
  const answers: unknown[][] = [];
  const same = (json: string) => json;
  const rust = {
    openCrossing: (sink: typeof send) => {
      send = sink;
      return {};
    },
    tailPodLogFile: (_crossing: object, path: string, options: string) => {
      tails.push(new FakeTail(tails.length, path, JSON.parse(options) as Record<string, unknown>, send));
      return tails.length - 1;
    },
    stopTail: (_crossing: object, tail: number) => {
      tails[tail]!.stops++;
      tails[tail]!.finish();
    },
    collectedText: (_crossing: object, tail: number) => tails[tail]!.text(),
    startRun: () => runs++,
    cancelRun: (_crossing: object, run: number, reason: string) => void answers.push(["cancel", run, reason]),
    leaveRun: (_crossing: object, run: number) => void answers.push(["leave", run]),
    arrived: () => void answers.push(["arrived"]),
    answered: (_crossing: object, taken: number[], calls: number[]) => {
      answers.push(["answered", taken, calls]);
      for (const tail of taken) tails[tail]?.taken();
    },
    failed: (_crossing: object, call: number, message: string) => void answers.push(["failed", call, message]),
    sessionDeserialize: same,
    resolveOutcome: same,
    ...overrides,
  };
  const addon: Record<string, unknown> = { ...rust };
  new Function("addon", source)(addon);
  return { native: addon as unknown as Native, tails, answers, send: (batch: string) => send(batch) };
}

/** After the promises and answers of this turn. */
export const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
