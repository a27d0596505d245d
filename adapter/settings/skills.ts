/** Skills in the host's view: they go into each run's prompt, nothing is installed and nothing stays behind. */
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import type { AdapterSkillContext, AdapterSkillSnapshot } from "@paperclipai/adapter-utils";
import {
  asString,
  buildRuntimeMountedSkillSnapshot,
  type PaperclipSkillEntry,
  parseObject,
  readPaperclipRuntimeSkillEntries,
} from "@paperclipai/adapter-utils/server-utils";

import type { Fields } from "../host/fields.js";
import type { SkillFolder } from "../../index.js";
import { readAnswer } from "../addon/answer.js";
import type { Native, NativeLoader } from "../addon/native.js";
import { desiredSkillKeys } from "../host/adapter-utils.js";
import { describeError } from "../host/calls.js";
import { dataRootOf, dataRootsOf } from "../host/environment.js";
import { type } from "../host/version.js";
import { withOperatorSettings } from "./operator.js";

/** Makes `listSkills` over an addon: the skills of an agent and which of them its runs get. */
export function createListSkills(load: NativeLoader) {
  return async function listSkills(ctx: AdapterSkillContext): Promise<AdapterSkillSnapshot> {
    try {
      const native = load();
      const { config } = withOperatorSettings(parseObject(ctx?.config));
      const { available, desired } = await listAgentSkills(native, config);
      return buildRuntimeMountedSkillSnapshot({
        adapterType: type,
        availableEntries: available,
        desiredSkills: desired,
        mode: "ephemeral",
        configuredDetail: "Its text becomes part of the prompt of every run.",
        missingDetail: "Paperclip has no such skill for this agent.",
        externalInstalled: await installedSkills(native, config),
        externalLocationLabel: "~/.claude/skills",
        externalDetail: "Lies on the shared volume; opencode finds it by itself.",
        skillsHome: installedSkillsDir(config),
      });
    } catch (error) {
      const warnings = [`Skills cannot be listed: ${describeError(error)}`];
      return { adapterType: type, supported: true, mode: "ephemeral", desiredSkills: [], entries: [], warnings };
    }
  };
}

/** All skills of an agent, from its config or else from the server's folders, and the keys that every run gets. */
export async function listAgentSkills(native: Native, config: Fields) {
  const available = await availableSkills(native, config);
  const desired = new Set([...requiredSkillKeys(config), ...desiredSkillKeys(config, available)]);
  return { available, desired: [...desired] };
}

async function availableSkills(native: Native, config: Fields): Promise<PaperclipSkillEntry[]> {
  const moduleDir = fileURLToPath(new URL(".", import.meta.url));
  const configured = config["paperclipRuntimeSkills"];
  // With a list the host's function touches no disk. Without one it would follow links on the shared volume and hold a
  // thread of Node's while that volume hangs: the addon looks where it would have looked.
  if (Array.isArray(configured)) {
    return configured.length === 0 ? [] : readPaperclipRuntimeSkillEntries(config, moduleDir);
  }
  const ofServer = ["../../skills", "../../../../../skills"].map((path) => resolve(moduleDir, path));
  const { folder, skills } = await listFolder(native, config, [...ofServer, installedSkillsDir(config)]);
  if (folder === null) return [];
  return skills.map((name) => ({
    key: `paperclipai/paperclip/${name}`,
    runtimeName: name,
    source: join(folder, name),
  }));
}

type InstalledSkills = NonNullable<Parameters<typeof buildRuntimeMountedSkillSnapshot>[0]["externalInstalled"]>;

async function installedSkills(native: Native, config: Fields): Promise<InstalledSkills> {
  const home = installedSkillsDir(config);
  const { skills, others } = await listFolder(native, config, [home]);
  const installed: InstalledSkills = new Map();
  for (const name of skills) installed.set(name, { targetPath: join(home, name), kind: "directory" });
  for (const name of others) installed.set(name, { targetPath: join(home, name), kind: "file" });
  return installed;
}

async function listFolder(native: Native, config: Fields, folders: string[]): Promise<SkillFolder> {
  return readAnswer(await native.listSkillFolders({ ...dataRootsOf(config), folders }));
}

/** Where skills are installed by hand on the shared volume. */
function installedSkillsDir(config: Fields): string {
  return join(dataRootOf(config), ".claude", "skills");
}

/** Skills the host flags as required go into every run, wanted or not. The entries of adapter-utils lost that flag. */
function requiredSkillKeys(config: Fields): string[] {
  const raw = config["paperclipRuntimeSkills"];
  const entries: unknown[] = Array.isArray(raw) ? raw : [];
  return entries.flatMap((entry) => {
    const { key, name, required } = (entry ?? {}) as Fields;
    const id = asString(key, asString(name, "")).trim();
    return required === true && id ? [id] : [];
  });
}
