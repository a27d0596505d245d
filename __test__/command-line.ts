/** Runs the built command line. Needs `npm run build`. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll } from "vitest";

export const program = fileURLToPath(new URL("../dist/command.js", import.meta.url));
/** A folder for files of this suite. */
export const folder = mkdtempSync(join(tmpdir(), "command-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Surroundings {
  input?: string;
  env?: Record<string, string>;
}

export function run(args: string[], { input = "", env = {} }: Surroundings = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    input,
    env: { PATH: process.env["PATH"], COLUMNS: "60", ...env },
  });
  return { status, stdout, stderr };
}

/** Its path. */
export function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}
