// A listing that a Rust test compares with the code is written by that very test.

import { spawnSync } from "node:child_process";

import { hostTriple, root } from "./prerequisites.mjs";

/** Runs the tests of this name with `variable` set, which has them write what they otherwise compare. */
export function writeListing(test, variable) {
  const args = ["test", "--target", hostTriple(), "--test", "it", test];
  const env = { ...process.env, [variable]: "1" };
  const { status, error } = spawnSync("cargo", args, { cwd: root, stdio: "inherit", env });
  if (error) console.error(`cargo: ${error.message}`);
  process.exitCode = status ?? 1;
}
