/**
 * What newer releases of adapter-utils offer and older ones lack. A static import of such a name would keep the whole
 * adapter from loading on an older host, so they are looked up here and used where they exist.
 */
import * as serverUtils from "@paperclipai/adapter-utils/server-utils";
import { resolvePaperclipDesiredSkillNames } from "@paperclipai/adapter-utils/server-utils";

import type { Fields } from "./fields.js";
import type { RunStart } from "../../index.js";

type ServerUtils = typeof serverUtils;
const optional: Partial<ServerUtils> = serverUtils;

/** The host's brief of the task: the compact form for resumed sessions where the host can tell when that is enough. */
export function taskMarkdown(context: Fields, resuming: boolean): string {
  if (optional.selectPaperclipTaskMarkdown) {
    return optional.selectPaperclipTaskMarkdown(context, { resumedSession: resuming }).trim();
  }
  const full = context["paperclipTaskMarkdown"];
  return typeof full === "string" ? full.trim() : "";
}

/** Whether the wake only asks to settle an interrupted run; such a wake brings its whole prompt itself. */
export function isRecoveryWake(wake: unknown): boolean {
  return optional.isPaperclipRecoveryWakePayload?.(wake) ?? false;
}

/** The skills the agent asks for, and the operational one where the host insists on it. */
export function desiredSkillKeys(
  config: Fields,
  available: Parameters<ServerUtils["resolvePaperclipDesiredSkillNames"]>[1],
): string[] {
  const resolve = optional.resolveLegacyPaperclipDesiredSkillNames ?? resolvePaperclipDesiredSkillNames;
  return resolve(config, available);
}

/** The variables through which a run reaches Paperclip's own tools; empty when the host gives none. */
export function runtimeToolsEnv(access: unknown): Record<string, string> {
  if (typeof access !== "object" || access === null) return {};
  return optional.buildRuntimeToolsEnv?.(access as Parameters<ServerUtils["buildRuntimeToolsEnv"]>[0]) ?? {};
}

/** An MCP server of the company's connections. */
export type McpServer = NonNullable<RunStart["mcpServers"]>[number];

/** The MCP servers that the host lists for a run. Throws what the host throws, and where it gives something else. */
export function mcpServers(access: unknown): McpServer[] {
  if (access === undefined || access === null) return [];
  const listed = (access as { getServers(): unknown }).getServers();
  if (!Array.isArray(listed)) throw new Error("getServers gave no list");
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return (listed as (Partial<McpServer> | null)[])
    .map((entry) => ({ name: text(entry?.name), url: text(entry?.url), token: text(entry?.token) }))
    .filter(({ url }) => url !== "");
}

/** The program that the host puts in the place of `git` and `gh`; `null` where its release has none. */
export async function githubLauncher(): Promise<string | null> {
  try {
    const { githubLauncherSource } = await import("@paperclipai/adapter-utils/github-launcher");
    return githubLauncherSource();
  } catch {
    return null;
  }
}

/** Which of the configured variable names the host does not let an agent's config set. */
export function forbiddenEnvKeys(configEnv: Fields): string[] {
  const isForbidden = optional.isForbiddenConfigEnvKey;
  return isForbidden ? Object.keys(configEnv).filter((key) => isForbidden(key)) : [];
}
