/** `doctor`: the environment test in a terminal. */
import type { AdapterEnvironmentTestResult } from "@paperclipai/adapter-utils";

import { paint, type Screen, wrap } from "./screen.js";

const MARKS = { error: ["✗", "red"], warn: ["!", "yellow"], info: ["✓", "green"] } as const;

/** Shows the test's result; the exit status. */
export function doctor(result: AdapterEnvironmentTestResult, asJson: boolean, screen: Screen): number {
  const status = result.status === "fail" ? 1 : 0;
  if (asJson) {
    screen.print(JSON.stringify(result, null, 2));
    return status;
  }
  for (const { level, message, hint } of result.checks) {
    const [mark, colour] = MARKS[level];
    screen.print(`${paint(screen, mark, colour)} ${wrap(message, screen.columns, "  ").slice(2)}`);
    if (hint) screen.print(paint(screen, hinted(hint, screen.columns), "dim"));
  }
  const count = (level: string): number => result.checks.filter((check) => check.level === level).length;
  const of = (level: string, word: string): string => `${count(level)} ${word}${count(level) === 1 ? "" : "s"}`;
  screen.print(`${of("error", "error")}, ${of("warn", "warning")}, ${count("info")} in order`);
  return status;
}

/** A command stands on a line of its own and is not broken: it is there to be copied. */
function hinted(hint: string, columns: number): string {
  const at = hint.search(/: kubectl /);
  if (at < 0) return wrap(hint, columns, "    ");
  return `${wrap(hint.slice(0, at + 1), columns, "    ")}\n    ${hint.slice(at + 2)}`;
}
