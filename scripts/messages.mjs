// Writes fixtures/messages.txt, the listing of every text that a person may read. Read what changed before it is kept.
//
//   npm run messages

import { spawnSync } from "node:child_process";

import { hostTriple, root } from "./prerequisites.mjs";

const args = ["test", "--target", hostTriple(), "--test", "it", "told::the_listing"];
const { status, error } = spawnSync("cargo", args, {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, WRITE_MESSAGES: "1" },
});
if (error) console.error(`messages: ${error.message}`);
process.exitCode = status ?? 1;
