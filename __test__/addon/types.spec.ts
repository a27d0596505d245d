/** What the package says about its types. Needs `npm run build`. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const entries = ["index.d.ts", "dist/index.d.ts", "dist/server.d.ts", "dist/cli.d.ts", "dist/ui-parser.d.cts"];
const options: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  lib: ["lib.es2024.d.ts"],
  types: ["node"],
  strict: true,
  noEmit: true,
};
const program = ts.createProgram(
  entries.map((entry) => root + entry),
  options,
);
const checker = program.getTypeChecker();

describe.each(entries)("%s", (entry) => {
  const source = program.getSourceFile(root + entry)!;
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(source)!);

  it("documents every export", () => {
    const real = (symbol: ts.Symbol) =>
      symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const bare = exported.filter((symbol) => real(symbol).getDocumentationComment(checker).length === 0);
    expect(bare.map((symbol) => symbol.name)).toEqual([]);
    expect(exported.length).toBeGreaterThan(0);
  });
});

it("no public type has any in it", () => {
  const files = ["index.d.ts", ...readdirSync(`${root}dist`, { recursive: true }).map((file) => `dist/${file}`)];
  const declared = files.filter((file) => /\.d\.c?ts$/.test(file));
  expect(declared.length).toBeGreaterThan(3);
  const withAny = declared.filter((file) => {
    const code = readFileSync(root + file, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");
    return /\bany\b/.test(code);
  });
  expect(withAny).toEqual([]);
});

it("the main entry declares none of the addon's types again", () => {
  const addon = readFileSync(`${root}index.d.ts`, "utf8");
  const names = [...addon.matchAll(/^export (?:interface|type) (\w+)/gm)].map(([, name]) => name!);
  const ofShim = readdirSync(`${root}dist`, { recursive: true })
    .filter((file) => `${file}`.endsWith(".d.ts"))
    .map((file) => readFileSync(`${root}dist/${file}`, "utf8"))
    .join("\n");
  const twice = names.filter((name) => new RegExp(`export (?:interface|type) ${name}\\b`).test(ofShim));
  // The adapter's manifest takes the host's context and renders the prompt itself.
  expect(twice).toEqual(["JobBuildInput"]);
});
