/** Skills in the host's view: they go into each run's prompt, nothing is installed and nothing stays behind. */
import type { AdapterSkillContext, AdapterSkillSnapshot } from "@paperclipai/adapter-utils";
import { buildRuntimeMountedSkillSnapshot, readInstalledSkillTargets } from "@paperclipai/adapter-utils/server-utils";

import { describeError } from "./host.js";
import { installedSkillsDir, listAgentSkills } from "./prompt-inputs.js";
import { type } from "./version.js";

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
