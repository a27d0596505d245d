// Runs within `npm version`: everything else that names the version gets the one of package.json.

import { readFileSync, writeFileSync } from "node:fs";

import { packageVersion, root, run } from "./prerequisites.mjs";

const version = packageVersion();
const manifest = readFileSync(`${root}Cargo.toml`, "utf8");
const before = /^version = "([^"]+)"/m.exec(manifest)[1];
writeFileSync(`${root}Cargo.toml`, manifest.replace(/^version = "[^"]+"/m, `version = "${version}"`));
// The generated loader names it; the lint makes it anew and sees that this is the same.
const loader = readFileSync(`${root}index.js`, "utf8");
writeFileSync(`${root}index.js`, loader.replaceAll(`"${before}"`, `"${version}"`));
run("cargo", ["update", "--workspace", "--offline", "--quiet"]);
run("git", ["add", "Cargo.toml", "Cargo.lock", "index.js"]);
