// An empty project into which the packed package is installed, and what is run in it.

import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { root } from "../prerequisites.mjs";

/** A folder like Paperclip's for plugins: a package.json without dependencies. */
export class Project {
  constructor(registry) {
    this.folder = mkdtempSync(join(tmpdir(), "opencode-k8s-pack-"));
    this.registry = registry;
    writeFileSync(`${this.folder}/package.json`, JSON.stringify({ name: "plugins", private: true }));
    cpSync(`${root}scripts/pack/inside`, this.folder, { recursive: true });
    cpSync(`${root}examples`, `${this.folder}/examples`, { recursive: true });
  }

  /** `npm install --no-save …` with npm's defaults, as Paperclip runs it. */
  async install(...words) {
    const cache = `${this.folder}/.npm`;
    const env = {
      ...process.env,
      npm_config_registry: this.registry,
      npm_config_cache: cache,
      npm_config_userconfig: `${this.folder}/.npmrc`,
    };
    // What `npm run` adds to the environment is this package's own configuration, not the project's.
    for (const name of Object.keys(env))
      if (/^npm_(?:package|lifecycle|config_(?:local_)?prefix)/.test(name)) delete env[name];
    await this.run("npm", ["install", "--no-save", ...words], env);
  }

  /** Runs a program in the project; throws with its words when it fails. */
  async run(command, args, env = process.env) {
    try {
      await promisify(execFile)(command, args, { cwd: this.folder, env, timeout: 180_000 });
    } catch ({ message, stdout, stderr, killed }) {
      throw new Error(`${message.split("\n", 1)}${killed ? " (took too long)" : ""}\n${stdout}${stderr}`);
    }
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
