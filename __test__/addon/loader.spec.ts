/** How index.js finds the binary, and what it says where there is none. Needs `npm run build`. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { name, version } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as Record<string, string>;
const binary = readdirSync(root).find((file) => file.endsWith(".node"))!;
const [, platform] = /^[\w-]+\.(.+)\.node$/.exec(binary)!;
const platformPackage = `${name}-${platform}`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "addon-loader-"));
  copyFileSync(join(root, "index.js"), join(folder, "index.js"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
});
afterEach(() => rmSync(folder, { recursive: true }));

/** The version that the addon tells, or what keeps it from being loaded. */
function load(): { version?: string; code?: string; message?: string; cause?: string } {
  const script = `import("./index.js").then(
    (addon) => ({ version: addon.nativeVersion() }),
    ({ code, message, cause }) => ({ code, message, cause: cause?.message }),
  ).then((found) => console.log(JSON.stringify(found)));`;
  return JSON.parse(execFileSync(process.execPath, ["-e", script], { cwd: folder, encoding: "utf8" }));
}

function install(file: string, content?: string): void {
  const target = join(folder, "node_modules", platformPackage);
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, "package.json"), JSON.stringify({ name: platformPackage, main: file }));
  if (content === undefined) copyFileSync(join(root, binary), join(target, file));
  else writeFileSync(join(target, file), content);
}

it("takes the package of its platform", () => {
  install(binary);
  expect(load()).toEqual({ version });
});

it("takes the file beside it first, and the package where that file cannot be loaded", () => {
  copyFileSync(join(root, binary), join(folder, binary));
  install("broken.node", "no binary");
  expect(load()).toEqual({ version });
  writeFileSync(join(folder, binary), "no binary");
  install(binary);
  expect(load()).toEqual({ version });
});

it("names the package that is missing, and one command that removes no other package", () => {
  const { code, message } = load();
  expect(code).toBe("k8s_native_unavailable");
  expect(message).toContain(`for ${platform} is missing or cannot be loaded. Install the package ${platformPackage}@`);
  // npm removes from Paperclip's folder what is not named to it: the adapter itself, if only its binary is named.
  expect(message).toContain(`npm install --no-save ${name}@${version} ${platformPackage}@${version} and`);
  expect(message).toContain(`Cause: Cannot find module '${platformPackage}'`);
  expect(message).not.toMatch(/Require stack|wasi|undefined|null/);
});

it("says why each of several binaries cannot be loaded", () => {
  writeFileSync(join(folder, binary), "no binary");
  install("broken.node", "no binary either");
  const { message, cause } = load();
  expect(message?.split("Cause: ")[1]?.split("; ")).toHaveLength(2);
  expect(message).toContain(cause);
});
