/** Reads from the server's disk what goes into a prompt: the agent's instructions file and its skills. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import {
  asString,
  type PaperclipSkillEntry,
  readPaperclipRuntimeSkillEntries,
} from "@paperclipai/adapter-utils/server-utils";

import { desiredSkillKeys } from "./adapter-utils.js";
import { dataRootOf } from "./environment.js";
import { describeError } from "./host.js";
import type { PromptInputs } from "./prompt.js";

const SKILL_SEPARATOR = "\n\n---\n\n";

/** Takes a warning that does not end the run. */
export type Warn = (message: string) => Promise<void>;

/** Skills of one agent: all that exist, and the keys of those that every run gets. */
export interface AgentSkills {
  available: PaperclipSkillEntry[];
  desired: string[];
}

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

/** The skills of an agent, from its config or else from the server's skill folders. */
export async function listAgentSkills(config: Record<string, unknown>): Promise<AgentSkills> {
  const moduleDir = fileURLToPath(new URL(".", import.meta.url));
  const available = await readPaperclipRuntimeSkillEntries(config, moduleDir, [installedSkillsDir(config)]);
  const desired = new Set([...requiredSkillKeys(config), ...desiredSkillKeys(config, available)]);
  return { available, desired: [...desired] };
}

/** Where skills are installed by hand on the shared volume. */
export function installedSkillsDir(config: Record<string, unknown>): string {
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

/** A FIFO or a device would block for ever; only files are read. */
async function readRegularFile(path: string): Promise<string> {
  if (!(await stat(path)).isFile()) throw new Error(`${path} is not a file`);
  return readFile(path, "utf8");
}
