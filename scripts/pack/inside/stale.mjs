// Runs in a project with the package installed: after an upgrade without a restart, new JavaScript meets an old binary.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const NAME = "paperclip-adapter-opencode-k8s";
const require = createRequire(import.meta.url);
const { version } = require(`${NAME}/package.json`);
const file = require.resolve(NAME);
const entry = pathToFileURL(file);

const old = await import(`${entry}?t=1`);
old.buildPodLogPath("c", "a", "r");
const source = readFileSync(file, "utf8");
try {
  writeFileSync(file, source.replaceAll(`"${version}"`, '"99.0.0"'));
  const upgraded = await import(`${entry}?t=2`);
  assert.throws(
    () => upgraded.buildPodLogPath("c", "a", "r"),
    new RegExp(`is version ${version}, .* is version 99\\.0\\.0.*[Rr]estart the server`, "s"),
  );
} finally {
  writeFileSync(file, source);
}
