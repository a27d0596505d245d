import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { readPromptInputs } from "../../adapter/run/prompt-inputs.js";
import { createListSkills } from "../../adapter/settings/skills.js";
import { native } from "./package.js";

const SECRET = "SERVER-ONLY";

let temp: string;
let dir: string;
beforeAll(() => {
  temp = mkdtempSync(join(tmpdir(), "prompt-inputs-"));
  dir = join(temp, "paperclip");
  mkdirSync(join(dir, "folder"), { recursive: true });
  writeFileSync(join(temp, "SKILL.md"), SECRET);
  writeFileSync(join(dir, "folder", "SKILL.md"), "\nIN A FOLDER\n");
  writeFileSync(join(dir, "file.md"), "IN A FILE");
  writeFileSync(join(dir, "AGENTS.md"), "  BE KIND  ");
  mkdirSync(join(dir, ".claude", "skills", "by-hand"), { recursive: true });
});
afterAll(() => rmSync(temp, { recursive: true }));

async function read(config: Record<string, unknown>) {
  const { inputs, warnings } = await readPromptInputs(native, { dataRoot: dir, ...config });
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

it("reads nothing of the server's volume otherwise because an agent's settings name another data root", async () => {
  const kept = process.env["PAPERCLIP_K8S_DATA_ROOT"];
  process.env["PAPERCLIP_K8S_DATA_ROOT"] = dir;
  mkdirSync(join(temp, "private"), { recursive: true });
  writeFileSync(join(temp, "private", "AGENTS.md"), SECRET);
  symlinkSync(join(temp, "private"), join(dir, "instructions"));
  symlinkSync(temp, join(dir, "way-out"));
  try {
    const path = join(dir, "instructions", "AGENTS.md");
    for (const dataRoot of [
      "/nowhere",
      tmpdir(),
      join(dir, "folder"),
      join(dir, "instructions"),
      join(dir, "way-out"),
    ]) {
      const { instructionsContent, warnings } = await read({ dataRoot, instructionsFilePath: path });
      expect([instructionsContent, warnings.length], dataRoot).toEqual(["", 1]);
    }
    const skills = { paperclipSkillSync: { desiredSkills: ["a"] }, paperclipRuntimeSkills: [skill("a", "way-out")] };
    expect((await read({ dataRoot: "/nowhere", ...skills })).skillsBundleContent).toBe("");
  } finally {
    if (kept === undefined) delete process.env["PAPERCLIP_K8S_DATA_ROOT"];
    else process.env["PAPERCLIP_K8S_DATA_ROOT"] = kept;
    rmSync(join(dir, "instructions"));
    rmSync(join(dir, "way-out"));
  }
});

it("warns about an instructions file that cannot be read and goes on", async () => {
  execFileSync("mkfifo", [join(dir, "fifo")]);
  writeFileSync(join(dir, "large.md"), "");
  truncateSync(join(dir, "large.md"), 8 * 2 ** 40);
  const cases: [path: string, why: string][] = [
    [join(dir, "missing.md"), "no such file"],
    [dir, "it is a folder, not a regular file"],
    [join(dir, "fifo"), "it is a FIFO, not a regular file"],
    [join(dir, "large.md"), "it is larger than 256 KiB"],
  ];
  for (const [path, why] of cases) {
    expect(await read({ instructionsFilePath: path })).toEqual({
      instructionsContent: "",
      skillsBundleContent: "",
      warnings: [`Warning: instructionsFilePath not readable: ${path}: ${why}`],
    });
  }
});

/** What an agent's pod can lay where the server reads its prompt. */
describe("a hostile pod", () => {
  const environ = "/proc/self/environ";

  it("gets nothing of the server through a link or a second name, at any place of the path", async () => {
    const traps = join(dir, "traps");
    mkdirSync(join(traps, "skill"), { recursive: true });
    symlinkSync(environ, join(traps, "environ"));
    symlinkSync("/proc/self", join(traps, "process"));
    symlinkSync(join(temp, "SKILL.md"), join(traps, "file"));
    linkSync(join(temp, "SKILL.md"), join(traps, "second-name"));
    symlinkSync(temp, join(traps, "folder"));
    symlinkSync(environ, join(traps, "skill", "SKILL.md"));
    const laid = ["environ", "process/environ", "file", "second-name", "folder/SKILL.md", "folder", "skill"];
    const spelled = [`../traps/process/environ`, `../../paperclip/traps/file`];
    for (const name of [...laid, ...spelled]) {
      const path = `${traps}/${name}`;
      const paperclipRuntimeSkills = [{ ...skill("s", "s", { required: true }), source: path }];
      const { warnings, ...inputs } = await read({ instructionsFilePath: path, paperclipRuntimeSkills });
      expect(inputs, path).toEqual({ instructionsContent: "", skillsBundleContent: "" });
      expect(warnings, path).toHaveLength(2);
    }
  });

  it("gets nothing through the folder of skills installed by hand", async () => {
    const dataRoot = join(temp, "other");
    mkdirSync(join(dataRoot, ".claude"), { recursive: true });
    mkdirSync(join(temp, "server-folder", "of-the-server"), { recursive: true });
    writeFileSync(join(temp, "server-folder", "of-the-server", "SKILL.md"), SECRET);
    symlinkSync(join(temp, "server-folder"), join(dataRoot, ".claude", "skills"));
    const config = { dataRoot, paperclipSkillSync: { desiredSkills: ["paperclipai/paperclip/of-the-server"] } };
    expect(await read(config)).not.toHaveProperty("skillsBundleContent");
    const ctx = { agentId: "a", companyId: "c", adapterType: "opencode_k8s", config };
    const { entries } = await createListSkills(() => native)(ctx);
    expect(entries.filter(({ state }) => state !== "missing")).toEqual([]);
  });
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
  expect(warnings).toEqual([`Warning: skill b not readable: ${join(dir, "gone")}: no such file`]);
});

it("bundles skills that lie on the shared volume where the host names none", async () => {
  writeFileSync(join(dir, ".claude", "skills", "by-hand", "SKILL.md"), "BY HAND");
  const key = "paperclipai/paperclip/by-hand";
  expect(await read({ paperclipSkillSync: { desiredSkills: [key] } })).toMatchObject({
    skillsBundleContent: "BY HAND",
    warnings: [],
  });
});

it("lists skills as part of the prompt, and those installed by hand as such", async () => {
  const config = {
    dataRoot: dir,
    paperclipRuntimeSkills: [skill("a", "folder", { required: true }), skill("b", "file.md")],
    paperclipSkillSync: { desiredSkills: ["unknown"] },
  };
  const ctx = { agentId: "a", companyId: "c", adapterType: "opencode_k8s", config };
  const snapshot = await createListSkills(() => native)(ctx);
  expect(snapshot).toMatchObject({ adapterType: "opencode_k8s", supported: true, mode: "ephemeral" });
  expect(snapshot.entries.map(({ key, state }) => [key, state])).toEqual([
    ["a", "configured"],
    ["b", "available"],
    ["by-hand", "external"],
    ["unknown", "missing"],
  ]);
});
