// Runs in a project that has the package installed: every export loads both ways, the host's way of loading included.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const NAME = "paperclip-adapter-opencode-k8s";
const require = createRequire(import.meta.url);
const manifest = require(`${NAME}/package.json`);

for (const path of Object.keys(manifest.exports).filter((path) => path !== "./package.json")) {
  const name = NAME + path.slice(1);
  const [imported, required] = [await import(name), require(name)];
  const names = Object.keys(required).filter((key) => key !== "default" && key !== "module.exports");
  assert.ok(names.length > 0, `${name} exports something`);
  for (const key of names) assert.equal(imported[key], required[key], `${name}: ${key} is one and the same`);
}

// The host reads exports["."] itself, imports the file, and on a reload imports it again under another query.
const entry = pathToFileURL(require.resolve(NAME));
const [first, second] = [await import(`${entry}?t=1`), await import(`${entry}?t=2`)];
assert.notEqual(first.createServerAdapter, second.createServerAdapter);
for (const { createServerAdapter, buildPodLogPath, type } of [first, second]) {
  const adapter = { ...createServerAdapter() };
  assert.equal(adapter.type, type);
  assert.equal(adapter.hasOutOfProcessLiveness, true);
  assert.equal(typeof adapter.getConfigSchema, "function");
  assert.equal(buildPodLogPath("c", "a", "r"), "/paperclip/instances/default/run-logs/c/a/r.pod.ndjson");
}

// The parser is evaluated as text: no import, no require.
const source = readFileSync(require.resolve(`${NAME}/ui-parser`), "utf8");
const module = { exports: {} };
new Function("exports", "module", "self", "globalThis", `"use strict"; {${source}}`)(module.exports, module);
assert.equal(module.exports.parseStdoutLine("hello", "2026-01-01T00:00:00Z")[0].kind, "stdout");
