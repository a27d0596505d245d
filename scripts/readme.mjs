// Writes the README's tables of settings and error codes from the rows in src/config/settings.json and src/codes.rs.
//
//   npm run readme

import { spawnSync } from "node:child_process";

import { hostTriple, root } from "./prerequisites.mjs";

const args = ["test", "--target", hostTriple(), "--test", "it", "readme::"];
const { status, error } = spawnSync("cargo", args, {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, WRITE_README: "1" },
});
if (error) console.error(`readme: ${error.message}`);
process.exitCode = status ?? 1;
