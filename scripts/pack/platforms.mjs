// The platforms that the package is published for, as `napi.targets` of package.json lists them.

import { readFileSync } from "node:fs";

import { root } from "../prerequisites.mjs";

/** The package as it stands in the repository. */
export const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

/** `{name: "linux-x64-gnu", triple, os, cpu, libc?, file}` of each; `file` is where its release binary is built. */
export const platforms = manifest.napi.targets.map(describe);

/** The platform of this name. */
export function platformNamed(name) {
  const found = platforms.find((platform) => platform.name === name);
  if (!found)
    throw new Error(`there is no platform ${name}; there are ${platforms.map(({ name }) => name).join(", ")}`);
  return found;
}

/** The platform whose binaries this machine runs. */
export function hostPlatform() {
  // The network part of a report resolves host names.
  process.report.excludeNetwork = true;
  const { header } = process.report.getReport();
  const libc = process.platform === "linux" ? (header.glibcVersionRuntime ? "gnu" : "musl") : undefined;
  const found = platforms.find(
    (platform) => platform.os === process.platform && platform.cpu === process.arch && platform.libc === libc,
  );
  if (!found)
    throw new Error(
      `${[process.platform, process.arch, libc].filter(Boolean).join("-")} is none of the package's platforms`,
    );
  return found;
}

function describe(triple) {
  const [arch, , system, libc] = triple.split("-");
  const cpu = { x86_64: "x64", aarch64: "arm64" }[arch];
  const os = triple.endsWith("darwin") ? "darwin" : system;
  const name = [os, cpu, libc].filter(Boolean).join("-");
  return { name, triple, os, cpu, libc, file: `${root}build/native/${name}/${manifest.napi.binaryName}.${name}.node` };
}
