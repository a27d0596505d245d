/** The end-to-end run: real Paperclip, real Kubernetes, real opencode. `docs/e2e.md` says what it needs. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { runCases } from "./cases/all.js";
import { openHost } from "./host/host.js";
import { readOptions } from "./options.js";
import { Table } from "./table.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "opencode-k8s-e2e-run-"));
// The server's user must find its own folder in it.
chmodSync(scratch, 0o711);

let closing: Promise<void> | undefined;
const table = new Table();

try {
  const options = readOptions(process.argv.slice(2));
  const host = await openHost(options, root, scratch);
  const close = (): Promise<void> => (closing ??= host.close(table));
  endCleanly(close);
  try {
    await runCases(host, JSON.parse(readFileSync(`${root}package.json`, "utf8")), table);
  } finally {
    await close();
  }
  console.log(`\n${table}`);
  process.exitCode = table.ok ? 0 : 1;
  if (options.keep) console.log(`kept: ${scratch}`);
  else rmSync(scratch, { recursive: true, force: true });
} catch (error) {
  console.error(`e2e: ${error instanceof Error ? error.message : String(error)}\nleft for looking at: ${scratch}`);
  process.exitCode = 2;
}

/** Ctrl-C and a closed pipe (`| head`) leave nothing behind either. */
function endCleanly(close: () => Promise<void>): void {
  const end = (): void => void close().finally(() => process.exit(130));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
  process.stdout.on("error", end);
}
