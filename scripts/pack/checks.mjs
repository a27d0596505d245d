// What an operator does with the packages: install them as Paperclip does, load them, run an agent.

import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";

import { deadLinks } from "./links.mjs";
import { OLDEST_HOST } from "../hosts.mjs";
import { root } from "../prerequisites.mjs";
import { Project } from "./project.mjs";
import { manifest } from "./platforms.mjs";
import { serveTarballs } from "./registry.mjs";

const { name } = manifest;
/** An adapter of Paperclip from npm that pins adapter-utils its own way. */
const NEIGHBOUR = "hermes-paperclip-adapter@0.3.0";
/** The oldest Node and Paperclip's own, beside the one that runs this; npm has their binaries, for glibc. */
const NODES = ["20.19.0", "24.21.0"];
/** What a package may have. */
const SHIPPED = [
  /^dist\/(?:[a-z-]+\.(?:js|cjs)|(?:[a-z-]+\/)?[a-z-]+\.d\.c?ts)$/,
  /^(?:index\.js|index\.d\.ts|package\.json)$/,
  /^(?:README|LICENSE|CHANGELOG|CONTRIBUTING|THIRD-PARTY-LICENSES)(?:\.md)?$/,
  /^(?:docs\/[a-z0-9-]+\.md|deploy\/[a-z0-9-]+\.(?:yaml|json))$/,
  /^examples\/(?:[a-z-]+\.[cm]js|vitest\/[a-z-]+\.spec\.ts)$/,
  /^[a-z0-9-]+\.[a-z0-9-]+\.node$/,
];

/** Throws at the first check that fails. */
export async function checkPackages(tarballs, host) {
  for (const tarball of tarballs) await checkContent(tarball);
  const registry = await serveTarballs(tarballs);
  const clean = [];
  const project = () => clean[clean.push(new Project(registry.url)) - 1];
  try {
    await checkNodes(project(), host);
    await check("without optional packages the error names platform and package, and its advice is right", async () => {
      const bare = project();
      await bare.install("--omit=optional", name);
      await bare.run(process.execPath, ["omitted.mjs"]);
      await bare.install("--omit=optional", name, `${name}-${host.name}`);
      await bare.run(process.execPath, ["exports.mjs"]);
    });
    await check(`with ${OLDEST_HOST}`, async () => {
      const old = project();
      await old.install(OLDEST_HOST, name);
      await old.run(process.execPath, ["exports.mjs"]);
      await runAgent(old, process.execPath);
    });
    await check(`beside ${NEIGHBOUR}`, async () => {
      const shared = project();
      await shared.install(NEIGHBOUR, name);
      await shared.run(process.execPath, ["neighbour.mjs"]);
    });
    await check(`after ${NEIGHBOUR}, in an install of its own`, async () => {
      const shared = project();
      await shared.install(NEIGHBOUR);
      await shared.install(name);
      await shared.run(process.execPath, ["exports.mjs"]);
    });
  } finally {
    registry.close();
    for (const used of clean) used.remove();
  }
}

/** One install, used by every version of Node. */
async function checkNodes(project, host) {
  await check("installs with npm's defaults, with the binary of this platform and no other", async () => {
    await project.install(name);
    const packages = readdirSync(`${project.folder}/node_modules`).filter((folder) => folder.startsWith(`${name}-`));
    if (`${packages}` !== `${name}-${host.name}`) throw new Error(`there are ${packages}`);
  });
  const others = host.libc === "musl" ? [] : NODES.map((version) => nodeBinary(version, host));
  for (const node of [process.execPath, ...others]) {
    const version = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    const script = (...args) => project.run(node, args);
    await check(`Node ${version}: every export loads by import and by require, and twice`, () => script("exports.mjs"));
    await check(`Node ${version}: new JavaScript on an old binary asks for a restart`, () => script("stale.mjs"));
    await check(`Node ${version}: the example prints a Job`, () => script("examples/print-manifest.mjs"));
    await check(`Node ${version}: an agent's run`, () => runAgent(project, node));
  }
}

/** The demo's run, with the adapter that the project has. */
function runAgent(project, node) {
  const entry = `${project.folder}/node_modules/${name}/dist/index.js`;
  return project.run(node, [`${root}build/demo.js`, "--adapter", entry, "--speed", "10"]);
}

function nodeBinary(version, { os, cpu }) {
  const folder = `${root}build/nodes/${version}`;
  execFileSync("npm", ["install", "--no-save", "--prefix", folder, "--loglevel=error", `node-${os}-${cpu}@${version}`]);
  return `${folder}/node_modules/node-${os}-${cpu}/bin/node`;
}

async function checkContent(tarball) {
  const files = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((file) => file.replace(/^package\//, ""));
  const strange = files.filter((file) => !SHIPPED.some((pattern) => pattern.test(file)));
  const size = (statSync(tarball).size / 1e6).toFixed(2);
  const title = `${tarball.split("/").pop()}: ${files.length} files, ${size} MB packed`;
  await check(title, () => {
    if (strange.length > 0) throw new Error(`nobody needs ${strange.join(", ")}`);
    for (const file of ["LICENSE", "THIRD-PARTY-LICENSES.md"])
      if (!files.includes(file)) throw new Error(`${file} is missing`);
    const read = (file) => execFileSync("tar", ["-xzOf", tarball, `package/${file}`], { encoding: "utf8" });
    const { scripts, repository, homepage, bugs } = JSON.parse(read("package.json"));
    if (scripts) throw new Error(`package.json has scripts: ${Object.keys(scripts).join(", ")}`);
    const isMain = files.includes("dist/index.js");
    if (isMain && !(repository && homepage && bugs)) throw new Error("package.json names no repository");
    const dead = isMain ? deadLinks(files, read) : [];
    if (dead.length > 0) throw new Error(`dead links: ${dead.join(", ")}`);
  });
}

async function check(title, action) {
  const started = Date.now();
  try {
    await action();
  } catch (error) {
    throw new Error(`${title}: ${error.message}`);
  }
  console.log(`ok  ${title} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
}
