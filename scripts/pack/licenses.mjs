// The licences of everything that is linked into the binaries, as one Markdown file.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { root } from "../prerequisites.mjs";
import { manifest } from "./platforms.mjs";

const LICENCE_FILE = /^(?:licen[sc]e|copying|copyright|notice|unlicense)/i;
/** The terms of the MIT licence, which is also ours. */
const MIT_TERMS = readFileSync(`${root}LICENSE`, "utf8")
  .replace(/^[\s\S]*?(?=Permission is hereby granted)/, "")
  .trim();

/** The file's text. Identical texts stand once, below all the crates that ship them. */
export function thirdPartyLicences() {
  const crates = [...linkedCrates(), standardLibrary()];
  const texts = new Map();
  for (const crate of crates) {
    for (const text of crate.texts) texts.set(text, [...(texts.get(text) ?? []), crate.title]);
  }
  const list = crates.map(({ title, license, repository }) => `| ${title} | ${license} | ${repository ?? ""} |`);
  const sections = [...texts].map(([text, titles]) => `## ${titles.join(", ")}\n\n\`\`\`\`text\n${text}\n\`\`\`\`\n`);
  const { name, version } = manifest;
  const head = `# Third-party licences\n\nThe binaries of ${name} ${version} contain these libraries.\n`;
  return [head, "| library | licence | source |\n|---|---|---|", ...list, "", ...sections].join("\n");
}

/** Every crate that a binary of some platform is linked with; build scripts and tests are not. */
function linkedCrates() {
  const filters = manifest.napi.targets.flatMap((triple) => ["--filter-platform", triple]);
  const metadata = cargo(["metadata", "--locked", "--format-version", "1", ...filters]);
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const reached = new Set([metadata.resolve.root]);
  for (const id of reached) {
    const linked = nodes.get(id).deps.filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null));
    for (const { pkg } of linked) reached.add(pkg);
  }
  reached.delete(metadata.resolve.root);
  const crates = metadata.packages.filter(({ id }) => reached.has(id)).map(describe);
  return crates.sort((left, right) => (left.title < right.title ? -1 : 1));
}

function describe({ name, version, license, license_file, repository, authors, manifest_path }) {
  const folder = dirname(manifest_path);
  const files = readdirSync(folder)
    .filter((file) => LICENCE_FILE.test(file))
    .sort();
  const found = files.map((file) => readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim());
  const crate = { title: `${name} ${version}`, license: license ?? license_file, repository };
  return { ...crate, texts: found.length > 0 ? found : [standardText(crate, authors)] };
}

/** For a crate that ships no text: the terms of its licence, with the names it gives. */
function standardText({ title, license }, authors) {
  const holders =
    authors.length > 0 ? authors.map((author) => author.replace(/ <.*/, "")).join(", ") : `the authors of ${title}`;
  if (/\bMIT\b/.test(license)) return `Copyright (c) ${holders}\n\n${MIT_TERMS}`;
  if (license === "Apache-2.0")
    return `Copyright ${holders}. Licensed under the Apache License, Version 2.0, whose text stands in this file.`;
  throw new Error(`${title} ships no licence text, and there is none here for ${license}`);
}

function standardLibrary() {
  const version = /^rustc (\S+)/.exec(spawnSync("rustc", ["--version"], { encoding: "utf8" }).stdout)?.[1];
  const crate = {
    title: `Rust standard library ${version}`,
    license: "MIT OR Apache-2.0",
    repository: "https://github.com/rust-lang/rust",
  };
  return { ...crate, texts: [standardText(crate, ["The Rust Project contributors"])] };
}

function cargo(args) {
  const { status, stdout, stderr } = spawnSync("cargo", args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`cargo ${args[0]} failed: ${stderr}`);
  return JSON.parse(stdout);
}
