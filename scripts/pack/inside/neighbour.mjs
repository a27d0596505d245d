// Runs in a project that has another adapter of Paperclip beside this one.

import assert from "node:assert/strict";

const [mine, other] = await Promise.all([import("paperclip-adapter-opencode-k8s"), import("hermes-paperclip-adapter")]);
assert.notEqual(mine.createServerAdapter().type, other.type);
