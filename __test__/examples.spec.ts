/** The examples run as their first lines say. Needs `npm run build`. */
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { afterAll, describe, expect, it } from "vitest";

const examples = fileURLToPath(new URL("../examples/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "examples-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("examples", () => {
  it("print-manifest.mjs prints a Job", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [`${examples}print-manifest.mjs`], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: "Job", metadata: { namespace: "paperclip" } });
  });

  it("native.cjs follows a file with nothing but the addon", async () => {
    const path = join(folder, "native.log");
    writeFileSync(path, "one\nthe end");
    const child = spawn(process.execPath, [`${examples}native.cjs`, path], { stdio: ["ignore", "pipe", "inherit"] });
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) if (lines.push(line) === 2) child.kill("SIGINT");
    const logPath = "/paperclip/instances/default/run-logs/company-1/agent-1/run-1.pod.ndjson";
    expect(lines).toEqual([logPath, "one", "the end", "12 characters"]);
  });

  it("tail-file.mjs prints lines as they come, and ends at Ctrl-C", async () => {
    const path = join(folder, "log");
    writeFileSync(path, "one\nhal");
    const child = spawn(process.execPath, [`${examples}tail-file.mjs`, path], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      if (lines.length === 1) appendFileSync(path, "f a line\nthe end");
      if (lines.length === 2) child.kill("SIGINT");
    }
    expect(lines).toEqual(["one", "half a line", "the end"]);
    expect(await ended).toBe(0);
  });

  it.each([
    ["native.cjs", []],
    ["native.cjs", ["--help"]],
    ["native.cjs", ["/no/such/folder/log"]],
    ["tail-file.mjs", []],
    ["tail-file.mjs", ["/no/such/folder/log"]],
  ])("%s %j says in a line what is wrong, without a stack", (name, args) => {
    const { status, stderr } = spawnSync(process.execPath, [examples + name, ...args], { encoding: "utf8" });
    expect(status).toBe(args[0]?.startsWith("/") ? 1 : 2);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
