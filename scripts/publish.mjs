// `npm run publish:packages`: publishes build/packages as it is, the platforms before the package that asks for them.
// What the registry has already is left alone, so a release that broke off can be run again.
//
//   --dry-run   everything but the publishing itself

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { manifest, platforms } from "./pack/platforms.mjs";
import { TARBALLS } from "./pack/stage.mjs";
import { root } from "./prerequisites.mjs";

const dryRun = process.argv.includes("--dry-run");
const { name, version } = manifest;
const { GITHUB_REF_TYPE: refType, GITHUB_REF_NAME: ref, NODE_AUTH_TOKEN: token } = process.env;

try {
  if (refType === "tag" && ref !== `v${version}`) throw new Error(`the tag is ${ref}, package.json says ${version}`);
  const packages = [...platforms.map((platform) => `${name}-${platform.name}`), name];
  const files = packages.map((packed) => `${packed}-${version}.tgz`);
  const [missing, strange] = [missingFrom(readdirSync(TARBALLS), files), missingFrom(files, readdirSync(TARBALLS))];
  if (missing.length > 0 || strange.length > 0)
    throw new Error(`build/packages is not complete: missing ${missing}; strange ${strange}`);
  const userconfig = npmrc();
  for (const [index, packed] of packages.entries()) publish(packed, `${TARBALLS}/${files[index]}`, userconfig);
  console.log(`publish: ${packages.length} packages of version ${version}${dryRun ? ", if this were no dry run" : ""}`);
} catch (error) {
  console.error(`publish: ${error.message}`);
  process.exitCode = 1;
}

function publish(packed, file, userconfig) {
  if (npm(["view", `${packed}@${version}`, "version"], "pipe").stdout?.trim() === version)
    return console.log(`${packed}@${version} is there already`);
  // Provenance is signed by the workflow that runs; elsewhere there is nobody to sign it.
  const provenance = process.env.GITHUB_ACTIONS ? ["--provenance"] : [];
  // npm wants a tag for what is no release yet, and nobody shall get it unasked.
  const tag = version.includes("-") ? ["--tag", "next"] : [];
  const { status } = npm(
    ["publish", file, "--access", "public", ...tag, ...provenance, ...(dryRun ? ["--dry-run"] : []), ...userconfig],
    "inherit",
  );
  if (status !== 0) throw new Error(`${packed} was not published`);
}

/** With a token npm gets a configuration of its own; without one it asks GitHub who it is (trusted publishing). */
function npmrc() {
  if (!token) return [];
  const registry = npm(["config", "get", "registry"], "pipe").stdout.trim();
  const folder = mkdtempSync(join(tmpdir(), "publish-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  const file = join(folder, "npmrc");
  writeFileSync(file, `${registry.replace(/^https?:/, "")}:_authToken=\${NODE_AUTH_TOKEN}\n`, { mode: 0o600 });
  return ["--userconfig", file];
}

function missingFrom(present, wanted) {
  return wanted.filter((file) => !present.includes(file));
}

function npm(args, stdio) {
  return spawnSync("npm", args, { cwd: root, encoding: "utf8", stdio: ["ignore", stdio, stdio] });
}
