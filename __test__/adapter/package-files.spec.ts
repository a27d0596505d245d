/** What is published has the pages and manifests that it speaks of. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

type DeadLinks = (files: string[], read: (file: string) => string | undefined) => string[];
const links = new URL("../../scripts/pack/links.mjs", import.meta.url).href;
const { deadLinks } = (await import(links)) as { deadLinks: DeadLinks };

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = (path: string): string => readFileSync(root + path, "utf8");
const manifest = JSON.parse(text("package.json")) as { files: string[]; repository: { url: string } };

/** All files of the package that are in the repository; what the build makes is not asked for. */
function published(): string[] {
  const listed = manifest.files.filter((part) => part !== "dist" && !part.startsWith("index."));
  return ["README.md", "LICENSE", ...listed.flatMap(filesOf)];
}

function filesOf(part: string): string[] {
  if (!statSync(root + part).isDirectory()) return [part];
  return readdirSync(root + part, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(root.length));
}

describe("the package", () => {
  it("has the manifests and pages that the README leads to, and no link is dead", () => {
    const files = published();
    expect(files).toEqual(
      expect.arrayContaining(["deploy/pvc.yaml", "deploy/rbac.yaml", "deploy/server-patch.yaml", "CHANGELOG.md"]),
    );
    expect(deadLinks(files, text)).toEqual([]);
  });

  it("tells a dead link", () => {
    const pages: Record<string, string> = {
      "README.md": "# A b\n[one](docs/x.md) [two](#a-b) [three](docs/x.md#no) [four](gone.md) `[five](code)`",
      "docs/x.md": "[up](../README.md#a-b) [net](https://example.org)",
    };
    expect(deadLinks(Object.keys(pages), (page: string) => pages[page])).toEqual([
      "README.md: docs/x.md#no",
      "README.md: gone.md",
    ]);
  });

  it("has every file that a command of the README names", () => {
    const named = [...text("README.md").matchAll(/\b(?:deploy|docs)\/[\w.-]+\.(?:yaml|json|md)/g)].map(
      ([file]) => file,
    );
    expect(published()).toEqual(expect.arrayContaining(named));
  });
});
