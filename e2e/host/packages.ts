/** The packages of this repository, packed as they would be published. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { command } from "../command.js";

/** A packed package. */
export interface Packed {
  name: string;
  version: string;
  /** Its package.json, as a registry shows it. */
  manifest: Record<string, unknown>;
  tarball: Buffer;
  integrity: string;
}

type Manifest = { name: string; version: string; optionalDependencies?: Record<string, string>; main?: string };

/** Packs the adapter and the package with the native part for this machine. The adapter comes first. */
export async function packAll(root: string, scratch: string): Promise<[adapter: Packed, platform: Packed]> {
  const own = readManifest(root);
  const platform = await pack(platformFolder(root, scratch, own), scratch);
  const adapter = await pack(root, scratch);
  // Publishing writes the platform packages into the adapter's manifest.
  const optionalDependencies = { ...own.optionalDependencies, [platform.name]: platform.version };
  return [{ ...adapter, manifest: { ...adapter.manifest, optionalDependencies } }, platform];
}

async function pack(folder: string, scratch: string): Promise<Packed> {
  const output = await command("npm", ["pack", folder, "--pack-destination", scratch, "--json", "--loglevel=error"], { cwd: scratch });
  const [{ filename }] = JSON.parse(output) as [{ filename: string }];
  const manifest = readManifest(folder);
  const tarball = readFileSync(join(scratch, filename));
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  return { name: manifest.name, version: manifest.version, manifest: { ...manifest }, tarball, integrity };
}

/** The folder of the platform package with the binary that was built last. */
function platformFolder(root: string, scratch: string, own: Manifest): string {
  const triple = platformTriple();
  const binary = `opencode-k8s.${triple}.node`;
  if (!existsSync(join(root, binary))) throw new Error(`${binary} is missing: npm run build`);
  const folder = join(scratch, "platform");
  mkdirSync(folder);
  const template = join(root, "npm", triple);
  if (existsSync(join(template, "package.json"))) cpSync(template, folder, { recursive: true });
  else writeFileSync(join(folder, "package.json"), JSON.stringify(platformManifest(own, triple, binary)));
  cpSync(join(root, binary), join(folder, binary));
  return folder;
}

function platformManifest(own: Manifest, triple: string, binary: string): object {
  const { platform, arch } = process;
  return { name: `${own.name}-${triple}`, version: own.version, main: binary, files: [binary], os: [platform], cpu: [arch] };
}

function platformTriple(): string {
  const { platform, arch } = process;
  if (platform !== "linux") return `${platform}-${arch}`;
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return `${platform}-${arch}-${header?.glibcVersionRuntime ? "gnu" : "musl"}`;
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}
