// Lays the packages out as they are published, and packs them. package.json of the repository stays as it is: what only
// a published package has (its platform packages, their versions) is added here.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

import { root } from "../prerequisites.mjs";
import { thirdPartyLicences } from "./licenses.mjs";
import { manifest } from "./platforms.mjs";

/** Where the packed packages are. */
export const TARBALLS = `${root}build/packages`;

const STAGE = `${root}build/stage`;
const LICENCES = "THIRD-PARTY-LICENSES.md";
const TEXTS = ["README.md", "LICENSE"];
/** What only the repository needs of package.json. */
const PRIVATE = ["scripts", "devDependencies", "napi"];

/** Packs the package and one more for each platform; gives their files, the platforms first. */
export function packAll(platforms) {
  rmSync(STAGE, { recursive: true, force: true });
  rmSync(TARBALLS, { recursive: true, force: true });
  mkdirSync(`${STAGE}/binaries`, { recursive: true });
  mkdirSync(TARBALLS, { recursive: true });
  stageMain(platforms);
  for (const { file } of platforms) cpSync(file, `${STAGE}/binaries/${file.split("/").pop()}`);
  napi("create-npm-dirs");
  napi("artifacts", "--output-dir", "binaries");
  napi("pre-publish", "--tag-style", "npm", "--skip-optional-publish", "--no-gh-release");
  const licences = thirdPartyLicences();
  const folders = [...platforms.map(({ name }) => `${STAGE}/npm/${name}`), STAGE];
  return folders.map((folder) => finish(folder, licences));
}

/** What was packed before, here or on another machine. */
export function packedAlready() {
  const files = existsSync(TARBALLS) ? readdirSync(TARBALLS) : [];
  if (files.length === 0) throw new Error("nothing is packed: npm run pack");
  return files.map((file) => `${TARBALLS}/${file}`);
}

function stageMain(platforms) {
  for (const part of [...manifest.files, ...TEXTS]) cpSync(`${root}${part}`, `${STAGE}/${part}`, { recursive: true });
  const targets = platforms.map(({ triple }) => triple);
  writeJson(`${STAGE}/package.json`, { ...manifest, ...repository(), napi: { ...manifest.napi, targets } });
}

/** npm's provenance names the repository that built the package, and wants the package to name the same. */
function repository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
  if (!server || !name) return {};
  const page = `${server}/${name}`;
  return {
    repository: { type: "git", url: `git+${page}.git` },
    homepage: `${page}#readme`,
    bugs: `${page}/issues`,
  };
}

function finish(folder, licences) {
  const path = `${folder}/package.json`;
  const staged = JSON.parse(readFileSync(path, "utf8"));
  for (const key of PRIVATE) delete staged[key];
  writeJson(path, { ...staged, files: [...staged.files, LICENCES] });
  writeFileSync(`${folder}/${LICENCES}`, licences);
  cpSync(`${root}LICENSE`, `${folder}/LICENSE`);
  const before = new Set(readdirSync(TARBALLS));
  run("npm", ["pack", folder, "--pack-destination", TARBALLS, "--loglevel=error"]);
  return `${TARBALLS}/${readdirSync(TARBALLS).find((file) => !before.has(file))}`;
}

function napi(...args) {
  run(`${root}node_modules/.bin/napi`, [...args, "--cwd", STAGE]);
}

function run(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command.split("/").pop()} ${args[0]} failed:\n${stdout}${stderr}`);
}

function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}
