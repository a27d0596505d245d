/** Reads from the server's disk what goes into a prompt: the agent's instructions file and its skills. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";

import { asString, type PaperclipSkillEntry } from "@paperclipai/adapter-utils/server-utils";

import { describeError } from "../host/calls.js";
import { listAgentSkills } from "../settings/skills.js";
import type { PromptInputs } from "./prompt.js";

const SKILL_SEPARATOR = "\n\n---\n\n";

/** Takes a warning that does not end the run. */
type Warn = (message: string) => Promise<void>;

/** Reads instructions and skills; what cannot be read becomes a warning and is left out. */
export async function readPromptInputs(config: Record<string, unknown>, warn: Warn): Promise<PromptInputs> {
  return {
    instructionsContent: await readInstructions(config, warn),
    skillsBundleContent: await readSkillsBundle(config, warn),
  };
}

async function readInstructions(config: Record<string, unknown>, warn: Warn): Promise<string> {
  const path = asString(config["instructionsFilePath"], "").trim();
  if (!path) return "";
  try {
    return (await readRegularFile(path)).trim();
  } catch {
    await warn(`Warning: instructionsFilePath not readable: ${path}`);
    return "";
  }
}

async function readSkillsBundle(config: Record<string, unknown>, warn: Warn): Promise<string> {
  const texts: string[] = [];
  try {
    const { available, desired } = await listAgentSkills(config);
    for (const entry of available.filter((candidate) => desired.includes(candidate.key))) {
      const text = await readSkill(entry, warn);
      if (text) texts.push(text);
    }
  } catch (error) {
    await warn(`Warning: skills not readable, the run goes on without them: ${describeError(error)}`);
  }
  return texts.join(SKILL_SEPARATOR);
}

async function readSkill(entry: PaperclipSkillEntry, warn: Warn): Promise<string> {
  try {
    const isFolder = (await stat(entry.source)).isDirectory();
    const path = isFolder ? join(entry.source, "SKILL.md") : entry.source;
    return (await readRegularFile(path)).trim();
  } catch {
    await warn(`Warning: skill ${entry.key} not readable: ${entry.source}`);
    return "";
  }
}

/** A FIFO or a device would block for ever; only files are read. */
async function readRegularFile(path: string): Promise<string> {
  if (!(await stat(path)).isFile()) throw new Error(`${path} is not a file`);
  return readFile(path, "utf8");
}
