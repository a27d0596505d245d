// `npm run attack`: what a hostile agent tries, each attempt on whole runs with the local cluster, and a table of what
// came of it. `npm test` runs the same suites. What needs no run is in `tests/it/tail/hostile.rs`, `laid.rs` and
// `tests/it/pod_script/hostile.rs`.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { root } from "./prerequisites.mjs";

if (!existsSync(`${root}dist/index.js`)) {
  console.error('attack: nothing is built. Run "npm run build" first');
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "attack-"));
const report = join(folder, "report.json");
const args = ["run", "__test__/attack", "--reporter=json", `--outputFile=${report}`, ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, ["node_modules/vitest/vitest.mjs", ...args], {
  cwd: root,
  stdio: ["ignore", "ignore", "inherit"],
});
if (existsSync(report)) {
  const { testResults } = JSON.parse(readFileSync(report, "utf8"));
  const outcomes = { passed: "nothing gained", failed: "GAINED", pending: "not tried" };
  console.log("| suite | attempt | outcome | s |\n|---|---|---|---|");
  for (const { name, assertionResults } of testResults) {
    for (const { fullName, status: outcome, duration, failureMessages } of assertionResults) {
      const suite = basename(name, ".spec.ts");
      console.log(
        `| ${suite} | ${fullName} | ${outcomes[outcome] ?? "not tried"} | ${((duration ?? 0) / 1_000).toFixed(1)} |`,
      );
      for (const message of failureMessages) console.error(message);
    }
  }
}
rmSync(folder, { recursive: true });
process.exitCode = status ?? 1;
