/** Models to choose from: a short list that is always there, and what the server's own opencode offers. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import type { AdapterModel } from "@paperclipai/adapter-utils";

import { loadNative } from "../addon/native.js";
import { programPlace } from "../host/environment.js";

const CACHE_MS = 60_000;
const COMMAND_LIMIT_MS = 20_000;
const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;

/** Shown when the server has no opencode to ask; any other model id can be typed in. */
export const models: AdapterModel[] = [
  { id: "anthropic/claude-opus-4-7", label: "Claude Opus 4.7" },
  { id: "anthropic/claude-sonnet-4-6", label: "Claude Sonnet 4.6" },
  { id: "anthropic/claude-haiku-4-5", label: "Claude Haiku 4.5" },
  { id: "openai/gpt-4o", label: "GPT-4o" },
  { id: "openai/gpt-4o-mini", label: "GPT-4o mini" },
  { id: "google/gemini-2.5-pro", label: "Gemini 2.5 Pro" },
  { id: "google/gemini-2.5-flash", label: "Gemini 2.5 Flash" },
];

/** Makes a lister over a command that prints one model id a line; its answer is kept for a minute. */
export function createListModels(
  readOutput: () => Promise<string> = () => outputOfOwn("opencode", ["models"]),
  now: () => number = Date.now,
): () => Promise<AdapterModel[]> {
  let cached: { until: number; answer: Promise<AdapterModel[]> } | undefined;
  return function listModels() {
    if (cached === undefined || now() >= cached.until) {
      cached = { until: now() + CACHE_MS, answer: readModels(readOutput) };
    }
    return cached.answer;
  };
}

/** The models of the server's own opencode, or the static list; never rejects. */
export const listModels = createListModels();

async function readModels(readOutput: () => Promise<string>): Promise<AdapterModel[]> {
  try {
    const found = parseModelList(await readOutput());
    return found.length > 0 ? found : [...models];
  } catch {
    return [...models];
  }
}

/** Model ids are `provider/model`; anything else in the output is a remark of the CLI. */
export function parseModelList(output: string): AdapterModel[] {
  const known = new Map(models.map((model) => [model.id, model.label]));
  const ids = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^[\w.@-]+\/\S+$/.test(line));
  return [...new Set(ids)].map((id) => ({ id, label: known.get(id) ?? id }));
}

/**
 * What a program of the server's own prints, in a new folder and with nothing that leads to the shared volume: the
 * server's HOME is there, agents write in it, and opencode runs the plugins that its configuration names.
 */
async function outputOfOwn(command: string, args: string[]): Promise<string> {
  const { environment, temp } = loadNative().environmentOffVolume(programPlace());
  const folder = await mkdtemp(join(temp, "opencode-models-"));
  try {
    return await outputOf(command, args, COMMAND_LIMIT_MS, { cwd: folder, env: { HOME: folder, ...environment } });
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

/** What a command prints; a rejection when it fails, hangs or prints too much. */
export async function outputOf(
  command: string,
  args: string[],
  timeout = COMMAND_LIMIT_MS,
  place: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const options = { ...place, timeout, killSignal: "SIGKILL", maxBuffer: OUTPUT_LIMIT_BYTES } as const;
  const running = promisify(execFile)(command, args, options);
  running.child.stdin?.end();
  return (await running).stdout;
}
