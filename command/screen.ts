/** Text for a terminal of any width, with colours only where they are wanted. */

const COLOURS = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
const NARROWEST = 40;

/** Where a command prints. */
export interface Screen {
  columns: number;
  colour: boolean;
  print(text: string): void;
  /** What is no part of the output. */
  note(text: string): void;
}

/** The terminal, or the file or pipe in its place. */
export function terminal(): Screen {
  const { stdout, stderr, env } = process;
  return {
    columns: Math.max(NARROWEST, stdout.columns ?? (Number(env["COLUMNS"]) || 80)),
    colour: stdout.isTTY === true && !env["NO_COLOR"],
    print: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`paperclip-adapter-opencode-k8s: ${text}\n`),
  };
}

/** Colours a text. */
export function paint({ colour }: Screen, text: string, style: keyof typeof COLOURS): string {
  return colour ? `\u001b[${COLOURS[style]}m${text}\u001b[0m` : text;
}

/** Breaks a text between words; a word that is longer than a line stays whole, so that commands can be copied. */
export function wrap(text: string, columns: number, indent: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (line && indent.length + line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  if (line) lines.push(line);
  return lines.map((part) => indent + part).join("\n");
}

/** Rows under headings, each column as wide as it must be. */
export function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  "));
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** A line up to where the terminal ends. */
export function cut(line: string, columns: number): string {
  return line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
}
