// Tools that registries have ready to run, as Python wheels: installed into a folder of build/ when the machine lacks
// them.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

import { root } from "./prerequisites.mjs";

/** `{env}` in which `works(env)` holds, with these wheels in build/`name` if need be; else `{missing}`, the reason. */
export function environmentWith(name, wheels, works) {
  if (works(process.env)) return { env: process.env };
  const folder = `${root}build/${name}`;
  const env = { ...process.env, PATH: `${folder}/bin:${process.env.PATH}` };
  if (works(env)) return { env };
  console.log(`$ python3 -m venv build/${name} && build/${name}/bin/pip install ${wheels.join(" ")}`);
  const missing = install(folder, wheels);
  if (missing) return { missing };
  return works(env) ? { env } : { missing: `${wheels.join(" ")} does not start` };
}

function install(folder, wheels) {
  const succeeds = (command, args) => spawnSync(command, args, { stdio: "inherit" }).status === 0;
  if (!existsSync(`${folder}/bin/pip`) && !succeeds("python3", ["-m", "venv", folder])) {
    return "python3 -m venv failed (Debian: apt-get install python3-venv)";
  }
  return succeeds(`${folder}/bin/pip`, ["install", "--quiet", ...wheels])
    ? null
    : `pip could not install ${wheels.join(" ")}`;
}
