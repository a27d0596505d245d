/** What `npm run demo` says before it installs and builds anything. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { GIVE_UP_SOON, INSTALL } from "../scripts/prerequisites.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

function demo(...args: string[]) {
  // Without a PATH whatever is not Node itself would fail.
  const env = { PATH: "/nowhere" };
  return spawnSync(process.execPath, [`${root}scripts/demo.mjs`, ...args], { encoding: "utf8", env });
}

describe("the demo's arguments come before installs and builds", () => {
  it.each(["--help", "-h"])("%s shows the options, in 72 columns", (option) => {
    const { status, stdout, stderr } = demo(option);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("--scenario NAME");
    expect(stdout.split("\n").filter((line) => line.length > 72)).toEqual([]);
  });

  it("--list says what each recording shows", () => {
    const { status, stdout } = demo("--list");
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    const recordings = readdirSync(`${root}fixtures/opencode`, { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    expect(lines.length).toBe(recordings.length);
    // One column of names and one of texts.
    const text = Math.max(...recordings.map(({ name }) => name.length)) + 2;
    for (const line of lines) expect(line).toMatch(new RegExp(`^(?=[\\w-]+  +\\S).{${text - 1}} \\S`));
  });

  it.each([
    [["--lsit"], /^demo: Unknown option '--lsit'; --help shows the options\n$/],
    [["--speed", "fast"], /^demo: --speed must be a positive number, it is fast\n$/],
    [["--speed", "-1"], /^demo: Option '--speed' argument is ambiguous; --help shows the options\n$/],
    [["--scenario", "http-4O1"], /^demo: --scenario http-4O1 is not recorded; is it http-4.*\?\n$/],
    [["--scenario", "zzz"], /^demo: --scenario zzz is not recorded; --list shows what is\n$/],
    [["extra"], /^demo: Unexpected argument 'extra'.*; --help shows the options\n$/],
    [["--opencode", "/no/such"], /^demo: --opencode: \/no\/such does not exist\n$/],
  ])("%j is one line and exit status 2", (args, said) => {
    const { status, stderr, stdout } = demo(...args);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(said);
  });
});

it("installs with limits that npm takes, and says soon that there is no registry", () => {
  const folder = mkdtempSync(join(tmpdir(), "demo-install-"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ dependencies: { "no-such-package-of-ours": "1.0.0" } }));
  const options = { cwd: folder, encoding: "utf8" } as const;
  const args = [...INSTALL, ...GIVE_UP_SOON, "--registry=http://127.0.0.1:1", `--cache=${join(folder, "cache")}`];
  const { stdout, stderr } = spawnSync("npm", args, options);
  rmSync(folder, { recursive: true });
  expect(stdout + stderr).toContain("ECONNREFUSED");
});
