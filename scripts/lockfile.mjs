// `npm run lockfile`: makes package-lock.json anew, without the addresses of whatever registry made it.

import { readFileSync, rmSync, writeFileSync } from "node:fs";

import { root, run } from "./prerequisites.mjs";

const path = `${root}package-lock.json`;
rmSync(path, { force: true });
run("npm", ["install", "--package-lock-only", "--no-audit", "--no-fund"]);
const lock = JSON.parse(readFileSync(path, "utf8"));
for (const entry of Object.values(lock.packages)) delete entry.resolved;
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
