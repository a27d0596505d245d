/** The end-to-end run: real Paperclip, real Kubernetes, real opencode. `docs/e2e.md` says what it needs. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
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

try {
  const options = readOptions(process.argv.slice(2));
  const table = new Table();
  const host = await openHost(options, root, scratch);
  try {
    await runCases(host, table);
  } finally {
    await host.close(table);
  }
  console.log(`\n${table}`);
  process.exitCode = table.ok ? 0 : 1;
  if (options.keep) console.log(`kept: ${scratch}`);
  else rmSync(scratch, { recursive: true, force: true });
} catch (error) {
  console.error(`e2e: ${error instanceof Error ? error.message : String(error)}\nleft for looking at: ${scratch}`);
  process.exitCode = 2;
}
