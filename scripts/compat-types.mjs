// Programs of users compile against the package's types, all declarations checked (`skipLibCheck: false`), for each way
// in which TypeScript resolves modules. A part of `npm run test:compat`, or alone: `node scripts/compat-types.mjs`.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv } from "node:process";

import { root, run } from "./prerequisites.mjs";

const NAME = "paperclip-adapter-opencode-k8s";

const module = `
import { buildJobManifest, createServerAdapter, type JobBuildInput, resolveOutcome, tailPodLogFile } from "${NAME}";
import * as native from "${NAME}/native";
import { execute } from "${NAME}/server";
import { formatLine } from "${NAME}/cli";
import { parseStdoutLine } from "${NAME}/ui-parser";
declare const input: JobBuildInput;
export const same: boolean = tailPodLogFile === native.tailPodLogFile && execute === createServerAdapter().execute;
export const names: string[] = buildJobManifest(input).job.spec.template.spec.containers.map(({ name }) => name);
export const text: Promise<string> = native.tailPodLogFile("/log", {
  onLog: async (stream, line) => void process[stream].write(line),
  stopSignal: { stopped: false },
  signal: new AbortController().signal,
});
export const chunks: Promise<string> = tailPodLogFile("/log", { onLines: (chunk) => void chunk.length });
export const code: string | null | undefined = resolveOutcome({
  stdout: "", stderr: "", exitCode: 0, logState: "proven",
}).errorCode;
export const shown: [string, number] = [formatLine("{}", { colour: false }), parseStdoutLine("{}", "").length];
// @ts-expect-error there is nothing to deliver to
void tailPodLogFile("/log", { pollMs: 5 });
// @ts-expect-error a log is proven, unproven or incomplete
resolveOutcome({ stdout: "", stderr: "", exitCode: 0, logState: "complete" });
`;
const parser = `
import parser = require("${NAME}/ui-parser");
export const count: number = parser.parseStdoutLine("{}", "").length;
`;
// Only nodenext knows that Node can require a module.
const required = `
import native = require("${NAME}/native");
import adapter = require("${NAME}");
export const path: string = native.buildPodLogPath("c", "a", "r");
export const both: boolean = native.tailPodLogFile === adapter.tailPodLogFile;
`;
const kinds = {
  node16: { files: { "a.mts": module, "b.cts": parser }, options: { module: "node16" } },
  nodenext: { files: { "a.mts": module, "b.cts": parser + required }, options: { module: "nodenext" } },
  bundler: { files: { "a.ts": module }, options: { module: "esnext", moduleResolution: "bundler" } },
};

/** Throws when one of the programs does not compile. */
export function checkTypes() {
  const folder = mkdtempSync(join(tmpdir(), "compat-types-"));
  try {
    const packages = join(folder, "node_modules");
    mkdirSync(packages);
    symlinkSync(root, join(packages, NAME));
    for (const name of ["@paperclipai", "@types"]) symlinkSync(`${root}node_modules/${name}`, join(packages, name));
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    for (const [name, { files, options }] of Object.entries(kinds)) {
      mkdirSync(join(folder, name));
      for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text);
      const compilerOptions = {
        target: "es2023",
        lib: ["es2024"],
        types: ["node"],
        strict: true,
        skipLibCheck: false,
        noEmit: true,
        ...options,
      };
      writeFileSync(join(folder, name, "tsconfig.json"), JSON.stringify({ compilerOptions }));
      run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", join(folder, name)]);
      console.log(`types: ${name} compiles`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (argv[1]?.endsWith("compat-types.mjs")) checkTypes();
