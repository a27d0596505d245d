/** Gets Paperclip and a Node that runs it from npm, once; later runs find them in the cache. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { command } from "../command.js";
import type { Options } from "../options.js";

/** The programs of a server. */
export interface Programs {
  node: string;
  /** The server's entry. */
  server: string;
  /** What it finds in its PATH: npm, and the Node above. */
  path: string;
}

/** Oldest Node that Paperclip's server starts on. */
const OLDEST_NODE = [24, 11] as const;

/** Installs what is not there yet. */
export async function installPaperclip(options: Options): Promise<Programs> {
  const node = await findNode(options);
  const path = `${dirname(node)}:${process.env["PATH"] ?? ""}`;
  const folder = join(options.cache, `paperclip-${options.paperclipVersion}`);
  const server = join(folder, "node_modules/@paperclipai/server/dist/index.js");
  await installOnce(folder, server, `paperclipai@${options.paperclipVersion}`, path);
  return { node, server, path };
}

async function findNode(options: Options): Promise<string> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(options.cache, `node-${options.nodeVersion}`);
  const program = join(folder, "node_modules", name, "bin/node");
  await installOnce(folder, program, `${name}@${options.nodeVersion}`, process.env["PATH"] ?? "");
  return program;
}

async function installOnce(folder: string, product: string, spec: string, path: string): Promise<void> {
  if (existsSync(product)) return;
  console.log(`installing ${spec} into ${folder}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", spec];
  await command("npm", args, { cwd: folder, env: { ...process.env, PATH: path } });
  if (!existsSync(product)) throw new Error(`${spec} was installed, but ${product} is not there`);
}
