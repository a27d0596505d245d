// Runs in a project that was installed with --omit=optional: loading works, and the first use says what is missing.

import assert from "node:assert/strict";

const adapter = await import("paperclip-adapter-opencode-k8s");
assert.equal(adapter.createServerAdapter().type, "opencode_k8s");
const platform = `${process.platform}-${process.arch}`;
const expected = new RegExp(
  `for ${platform}[a-z-]* is missing.* Install the package paperclip-adapter-opencode-k8s-${platform}`,
  "s",
);
assert.throws(() => adapter.buildPodLogPath("c", "a", "r"), expected);
