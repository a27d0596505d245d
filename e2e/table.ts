/** What was checked, as rows that are printed when they are known and once more, as a table, at the end. */

/** One thing that was checked. */
interface Row {
  what: string;
  expected: string;
  seen: string;
  /** `null`: it could not be looked at here, and `seen` says why. */
  ok: boolean | null;
  seconds: number;
}

/** Collects rows. */
export class Table {
  readonly rows: Row[] = [];

  add(row: Row): void {
    this.rows.push(row);
    console.log(`${mark(row.ok)} ${row.what}: ${oneLine(row.seen)} (${row.seconds.toFixed(1)} s)`);
  }

  /** Whether everything that was looked at was right, and something was. */
  get ok(): boolean {
    return this.rows.length > 0 && this.rows.every((row) => row.ok !== false);
  }

  toString(): string {
    const head = ["what", "expected", "seen", "ok", "s"];
    const body = this.rows.map((row) => [row.what, row.expected, row.seen, mark(row.ok), row.seconds.toFixed(1)]);
    const lines = [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.map(cell).join(" | ")} |`);
    const failed = this.rows.filter((row) => row.ok === false).length;
    const left = this.rows.filter((row) => row.ok === null).length;
    return [...lines, "", `${this.rows.length} checks, ${failed} failed, ${left} not made`].join("\n");
  }
}

function mark(ok: boolean | null): string {
  return ok === null ? "-" : ok ? "ok" : "FAILED";
}

function cell(text: string): string {
  return oneLine(text).replaceAll("|", "\\|");
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}
