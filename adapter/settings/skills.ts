/** Skills in the host's view: they go into each run's prompt, nothing is installed and nothing stays behind. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { AdapterSkillContext, AdapterSkillSnapshot } from "@paperclipai/adapter-utils";
import {
  asString,
  buildRuntimeMountedSkillSnapshot,
  type PaperclipSkillEntry,
  readInstalledSkillTargets,
  readPaperclipRuntimeSkillEntries,
} from "@paperclipai/adapter-utils/server-utils";

import { desiredSkillKeys } from "../host/adapter-utils.js";
import { describeError } from "../host/calls.js";
import { dataRootOf } from "../host/environment.js";
import { type } from "../host/version.js";

/** Skills of one agent: all that exist, and the keys of those that every run gets. */
interface AgentSkills {
  available: PaperclipSkillEntry[];
  desired: string[];
}

/** Lists the skills of an agent and which of them its runs get. */
export async function listSkills(ctx: AdapterSkillContext): Promise<AdapterSkillSnapshot> {
  const skillsHome = installedSkillsDir(ctx.config);
  try {
    const { available, desired } = await listAgentSkills(ctx.config);
    return buildRuntimeMountedSkillSnapshot({
      adapterType: type,
      availableEntries: available,
      desiredSkills: desired,
      mode: "ephemeral",
      configuredDetail: "Its text becomes part of the prompt of every run.",
      missingDetail: "Paperclip has no such skill for this agent.",
      externalInstalled: await readInstalledSkillTargets(skillsHome),
      externalLocationLabel: "~/.claude/skills",
      externalDetail: "Lies on the shared volume; opencode finds it by itself.",
      skillsHome,
    });
  } catch (error) {
    const warnings = [`Skills cannot be listed: ${describeError(error)}`];
    return { adapterType: type, supported: true, mode: "ephemeral", desiredSkills: [], entries: [], warnings };
  }
}

/** Nothing is installed, so syncing shows the same as listing; the host itself keeps the wishes. */
export function syncSkills(ctx: AdapterSkillContext, _desiredSkills: string[]): Promise<AdapterSkillSnapshot> {
  return listSkills(ctx);
}

/** The skills of an agent, from its config or else from the server's skill folders. */
export async function listAgentSkills(config: Record<string, unknown>): Promise<AgentSkills> {
  const moduleDir = fileURLToPath(new URL(".", import.meta.url));
  const available = await readPaperclipRuntimeSkillEntries(config, moduleDir, [installedSkillsDir(config)]);
  const desired = new Set([...requiredSkillKeys(config), ...desiredSkillKeys(config, available)]);
  return { available, desired: [...desired] };
}

/** Where skills are installed by hand on the shared volume. */
function installedSkillsDir(config: Record<string, unknown>): string {
  return join(dataRootOf(config), ".claude", "skills");
}

/** Skills the host flags as required go into every run, wanted or not. The entries of adapter-utils lost that flag. */
function requiredSkillKeys(config: Record<string, unknown>): string[] {
  const raw = config["paperclipRuntimeSkills"];
  const entries: unknown[] = Array.isArray(raw) ? raw : [];
  return entries.flatMap((entry) => {
    const { key, name, required } = (entry ?? {}) as Record<string, unknown>;
    const id = asString(key, asString(name, "")).trim();
    return required === true && id ? [id] : [];
  });
}
