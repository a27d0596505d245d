/** `tail` and `read`: a run's log as text. */
import { constants, createReadStream, existsSync, fstatSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

import type * as Adapter from "../adapter/index.js";
import { formatLine } from "../adapter/ui/terminal.js";
import { podState } from "./pod-state.js";
import type { Screen } from "./screen.js";

/** Where the logs of runs are below the data root, in folders of company and agent. */
interface Logs {
  folder: string;
  /** What follows the run's id in a log's name. */
  end: string;
}

/** What pods write: it is there while a run is on, and longer where a log was not read to its end. */
const OF_PODS: Logs = { folder: "instances/default/run-logs", end: ".pod.ndjson" };
/** Paperclip's own: what it was given of each run. */
const OF_PAPERCLIP: Logs = { folder: "instances/default/data/run-logs", end: ".ndjson" };
/** As many characters of an id as the page shows. */
const SHORTEST_BEGINNING = 8;
const LOOK_MS = 1_000;
/** Of a longer line the beginning is shown: an agent can print one that no process can hold. */
const LONGEST_LINE = 16 * 1024 * 1024;
/** How often the cluster is asked for a pod that has not written its end. */
const ASK_MS = 15_000;

/** How a run's file is shown. */
export interface Following {
  dataRoot: string;
  kubeconfig: string | undefined;
  verbose: boolean;
}

/**
 * Follows a run's file until its pod has written its end, or can write no more; of a run without such a file shows what
 * Paperclip has of it. The exit status.
 */
export async function tail(
  { tailPodLogFile }: Pick<typeof Adapter, "tailPodLogFile">,
  run: string,
  { dataRoot, kubeconfig, verbose }: Following,
  screen: Screen,
): Promise<number> {
  const path = findLog(dataRoot, run, OF_PODS);
  if (path === undefined) return ofPaperclip(run, { dataRoot, verbose }, screen);
  const stop = new AbortController();
  const end = path.replace(/\.ndjson$/, ".end.json");
  const look = (): void => {
    // What comes before the record is read to its end; without files the run is over as well.
    if (existsSync(end) || !existsSync(path)) stop.abort();
  };
  // A pod that is killed whole leaves no record.
  const askForPod = async (): Promise<void> => {
    for (let said: string | undefined; !stop.signal.aborted; ) {
      const { isOver, words } = await podState(path.replace(/\.ndjson$/, ".started"), kubeconfig);
      look();
      if (stop.signal.aborted) return;
      if (words !== undefined && words !== said) screen.note(words);
      said = words;
      if (isOver) return stop.abort();
      await sleep(ASK_MS, undefined, { signal: stop.signal, ref: false }).catch(() => {});
    }
  };
  const timer = setInterval(look, LOOK_MS);
  process.once("SIGINT", () => stop.abort());
  look();
  void askForPod();
  try {
    const onLog = async (_stream: string, line: string): Promise<void> => show(line, true, verbose, screen);
    await tailPodLogFile(path, { onLog, signal: stop.signal, collect: false });
  } finally {
    clearInterval(timer);
  }
  return 0;
}

/** Shows Paperclip's own log of a run that is over, or has no pod yet. */
async function ofPaperclip(
  run: string,
  { dataRoot, verbose }: Pick<Following, "dataRoot" | "verbose">,
  screen: Screen,
): Promise<number> {
  const path = findLog(dataRoot, run, OF_PAPERCLIP);
  if (path === undefined) {
    const root = join(dataRoot, OF_PODS.folder);
    throw new Error(
      existsSync(root)
        ? `there is no log of run ${run} below ${root}, and none of Paperclip's own; \`runs\` shows what is on`
        : `there is no folder ${root}: run this in the server's pod, or say by --data-root where /paperclip is`,
    );
  }
  screen.note("no pod writes this run's log any more, or none does yet: this is what Paperclip has of it");
  return showAll(createReadStream(path, { fd: openFile(path) }), path, { isAgents: false, verbose }, screen);
}

/** The log of a run, of whatever company and agent; the beginning of the id will do where it is one run's only. */
function findLog(dataRoot: string, run: string, { folder, end }: Logs): string | undefined {
  if (!/^[a-zA-Z0-9-]+$/.test(run)) return undefined;
  const root = join(dataRoot, folder);
  const agents = foldersOf(root).flatMap((company) =>
    foldersOf(join(root, company)).map((agent) => join(company, agent)),
  );
  const logs = agents.flatMap((agent) =>
    filesOf(join(root, agent)).map((name) => ({ name, path: join(root, agent, name) })),
  );
  const exact = logs.find(({ name }) => name === `${run}${end}`);
  if (exact !== undefined) return exact.path;
  const begun = logs.filter(({ name }) => name.startsWith(run) && name.endsWith(end));
  if (begun.length > 1) throw new Error(`several runs begin with ${run}: give more of the id`);
  if (run.length < SHORTEST_BEGINNING) return undefined;
  return begun[0]?.path;
}

function filesOf(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function foldersOf(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Shows a file, or what comes through a pipe; the exit status. */
export async function read(file: string | undefined, verbose: boolean, screen: Screen): Promise<number> {
  const input = file === undefined ? process.stdin : createReadStream(file);
  const isAgents = file?.endsWith(OF_PODS.end) ?? false;
  return showAll(input, file ?? "the pipe", { isAgents, verbose }, screen);
}

async function showAll(
  input: Readable,
  name: string,
  { isAgents, verbose }: { isAgents: boolean; verbose: boolean },
  screen: Screen,
): Promise<number> {
  try {
    for await (const line of linesOf(input)) show(line, isAgents, verbose, screen);
  } catch (error) {
    throw new Error(`${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  return 0;
}

/** Agents can write there, too: a pipe would never answer, and a link leads elsewhere. */
function openFile(path: string): number {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  if (!fstatSync(file).isFile()) throw new Error(`${path} cannot be read: it is no regular file`);
  return file;
}

async function* linesOf(input: Readable): AsyncGenerator<string> {
  input.setEncoding("utf8");
  let line = "";
  for await (const part of input as AsyncIterable<string>) {
    const [first = "", ...others] = part.split("\n");
    if (line.length < LONGEST_LINE) line += first;
    for (const next of others) {
      yield line.replace(/\r$/, "");
      line = next;
    }
  }
  if (line !== "") yield line;
}

/** `isAgents`: the line stands in a pod's file, where nothing is the adapter's or Paperclip's. */
function show(line: string, isAgents: boolean, verbose: boolean, screen: Screen): void {
  for (const part of isAgents ? [line] : chunkOf(line).split("\n")) {
    const text = formatLine(part, { colour: screen.colour, verbose, isAgents });
    if (text) screen.print(text);
  }
}

/** Paperclip's own files of a run have the log in chunks, each in a line of JSON. */
function chunkOf(line: string): string {
  if (!line.includes('"chunk"')) return line;
  try {
    const { chunk, stream } = JSON.parse(line) as { chunk?: unknown; stream?: unknown };
    return typeof chunk === "string" && typeof stream === "string" ? chunk : line;
  } catch {
    return line;
  }
}
