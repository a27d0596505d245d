/** `doctor`: the environment test in a terminal. */
import type { AdapterEnvironmentCheck, AdapterEnvironmentTestResult } from "@paperclipai/adapter-utils";

import { paint, type Screen, wrap } from "./screen.js";

const MARKS = { error: ["✗", "red"], warn: ["!", "yellow"], note: ["·", "dim"], info: ["✓", "green"] } as const;

/** What has a hint is not simply in order: no run needs it, or nobody could look it up. */
function rankOf({ level, hint }: AdapterEnvironmentCheck): keyof typeof MARKS {
  return level === "info" && hint ? "note" : level;
}

/** Shows the test's result; the exit status. */
export function doctor(result: AdapterEnvironmentTestResult, asJson: boolean, screen: Screen): number {
  const status = result.status === "fail" ? 1 : 0;
  if (asJson) {
    screen.print(JSON.stringify(result, null, 2));
    return status;
  }
  // They come the worst first.
  const inOrder = (check: AdapterEnvironmentCheck): number => Number(rankOf(check) === "info");
  for (const check of result.checks.toSorted((one, other) => inOrder(one) - inOrder(other))) {
    const { message, hint } = check;
    const [mark, colour] = MARKS[rankOf(check)];
    screen.print(`${paint(screen, mark, colour)} ${wrap(message, screen.columns, "  ").slice(2)}`);
    if (hint) screen.print(paint(screen, hinted(hint, screen.columns), "dim"));
  }
  const count = (rank: string): number => result.checks.filter((check) => rankOf(check) === rank).length;
  const of = (rank: string, word: string): string => `${count(rank)} ${word}${count(rank) === 1 ? "" : "s"}`;
  const notes = count("note") > 0 ? `${of("note", "note")}, ` : "";
  screen.print(`${of("error", "error")}, ${of("warn", "warning")}, ${notes}${count("info")} in order`);
  return status;
}

/** A command stands on a line of its own and is not broken: it is there to be copied. */
function hinted(hint: string, columns: number): string {
  const at = hint.search(/: kubectl /);
  if (at < 0) return wrap(hint, columns, "    ");
  return `${wrap(hint.slice(0, at + 1), columns, "    ")}\n    ${hint.slice(at + 2)}`;
}
