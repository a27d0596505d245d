/** What goes into a prompt from the server's disk: the agent's instructions and skills. The addon reads them. */
import { asString, type PaperclipSkillEntry } from "@paperclipai/adapter-utils/server-utils";

import type { Fields } from "../host/fields.js";
import { NativeFailure, readAnswer } from "../addon/answer.js";
import type { Native } from "../addon/native.js";
import { describeError } from "../host/calls.js";
import { dataRootsOf, readServerEnvironment } from "../host/environment.js";
import { listAgentSkills } from "../settings/skills.js";
import type { PromptInputs } from "./prompt.js";

const SKILL_SEPARATOR = "\n\n---\n\n";

/**
 * Reads instructions and skills; what cannot be read becomes a warning and is left out.
 * Throws {@link NativeFailure} when the volume does not answer.
 */
export async function readPromptInputs(native: Native, config: Fields) {
  const instructions = asString(config["instructionsFilePath"], "").trim();
  const warnings: string[] = [];
  const skills = await wantedSkills(native, config, warnings);
  if (!instructions && skills.length === 0) return { inputs: {} as PromptInputs, warnings };
  const request = {
    ...dataRootsOf(config),
    instructions: instructions || null,
    skills: skills.map(({ key, source }) => ({ key, source })),
    volumeOwner: readServerEnvironment().volumeOwner,
    runAsUser: config["runAsUser"],
  };
  const read = readAnswer(await native.readPromptFiles(request));
  const skillTexts = read.skills.map((text) => text.trim()).filter((text) => text.length > 0);
  return {
    inputs: {
      instructionsContent: read.instructions.trim(),
      skillsBundleContent: skillTexts.join(SKILL_SEPARATOR),
    },
    warnings: [...warnings, ...read.warnings],
  };
}

async function wantedSkills(native: Native, config: Fields, warnings: string[]): Promise<PaperclipSkillEntry[]> {
  try {
    const { available, desired } = await listAgentSkills(native, config);
    return available.filter((candidate) => desired.includes(candidate.key));
  } catch (error) {
    if (error instanceof NativeFailure) throw error;
    warnings.push(`Warning: skills not readable, the run goes on without them: ${describeError(error)}`);
    return [];
  }
}
