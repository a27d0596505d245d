import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, expect, it } from "vitest";

import { readPromptInputs } from "../../adapter/run/prompt-inputs.js";
import { listSkills, syncSkills } from "../../adapter/settings/skills.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "prompt-inputs-"));
  mkdirSync(join(dir, "folder"));
  writeFileSync(join(dir, "folder", "SKILL.md"), "\nIN A FOLDER\n");
  writeFileSync(join(dir, "file.md"), "IN A FILE");
  writeFileSync(join(dir, "AGENTS.md"), "  BE KIND  ");
  mkdirSync(join(dir, ".claude", "skills", "by-hand"), { recursive: true });
});
afterAll(() => rmSync(dir, { recursive: true }));

async function read(config: Record<string, unknown>) {
  const warnings: string[] = [];
  const inputs = await readPromptInputs({ dataRoot: dir, ...config }, async (message) => void warnings.push(message));
  return { ...inputs, warnings };
}

const skill = (key: string, source: string, more: object = {}) => ({
  key,
  runtimeName: key,
  source: join(dir, source),
  ...more,
});

it("reads the instructions file", async () => {
  expect(await read({ instructionsFilePath: join(dir, "AGENTS.md") })).toMatchObject({
    instructionsContent: "BE KIND",
  });
});

it("warns about an instructions file that cannot be read and goes on", async () => {
  execFileSync("mkfifo", [join(dir, "fifo")]);
  for (const path of [join(dir, "missing.md"), dir, join(dir, "fifo")]) {
    expect(await read({ instructionsFilePath: path })).toEqual({
      instructionsContent: "",
      skillsBundleContent: "",
      warnings: [`Warning: instructionsFilePath not readable: ${path}`],
    });
  }
});

it("bundles desired skills, from folders and from files", async () => {
  const config = {
    paperclipRuntimeSkills: [skill("a", "folder"), skill("b", "file.md"), skill("c", "file.md")],
    paperclipSkillSync: { desiredSkills: ["a", "b"] },
  };
  const { skillsBundleContent, warnings } = await read(config);
  expect(skillsBundleContent).toBe("IN A FOLDER\n\n---\n\nIN A FILE");
  expect(warnings).toEqual([]);
});

it("bundles required skills although nobody asked for them, and warns about unreadable ones", async () => {
  const config = {
    paperclipRuntimeSkills: [skill("a", "folder", { required: true }), skill("b", "gone", { required: true })],
  };
  const { skillsBundleContent, warnings } = await read(config);
  expect(skillsBundleContent).toBe("IN A FOLDER");
  expect(warnings).toEqual([`Warning: skill b not readable: ${join(dir, "gone")}`]);
});

it("lists skills as part of the prompt, and those installed by hand as such", async () => {
  const config = {
    dataRoot: dir,
    paperclipRuntimeSkills: [skill("a", "folder", { required: true }), skill("b", "file.md")],
    paperclipSkillSync: { desiredSkills: ["unknown"] },
  };
  const ctx = { agentId: "a", companyId: "c", adapterType: "opencode_k8s", config };
  const snapshot = await listSkills(ctx);
  expect(snapshot).toMatchObject({ adapterType: "opencode_k8s", supported: true, mode: "ephemeral" });
  expect(snapshot.entries.map(({ key, state }) => [key, state])).toEqual([
    ["a", "configured"],
    ["b", "available"],
    ["by-hand", "external"],
    ["unknown", "missing"],
  ]);
  expect(await syncSkills(ctx, ["b"])).toEqual(snapshot);
});
