/** A run as Paperclip has it on record. */
import { until } from "../wait.js";
import { type Api, HttpError } from "./api.js";

/** The record of a run. */
export interface Run {
  id: string;
  agentId: string;
  status: string;
  error: string | null;
  errorCode: string | null;
  exitCode: number | null;
  createdAt: string;
  startedAt: string | null;
  usageJson: Record<string, unknown> | null;
  resultJson: Record<string, unknown> | null;
  sessionIdBefore: string | null;
  sessionIdAfter: string | null;
  contextSnapshot?: { paperclipWorkspace?: { cwd?: string } } | null;
  /** Where a live run is, in a few words. */
  currentStatusMessage?: string | null;
}

const ENDED = new Set(["succeeded", "failed", "cancelled", "timed_out", "interrupted", "skipped"]);

/** Waits for a run's end and gives its record. */
export async function runEnded(api: Api, runId: string, seconds = 240): Promise<Run> {
  return until(`the end of run ${runId}`, seconds, async () => {
    const run = await readRun(api, runId);
    return ENDED.has(run.status) ? run : null;
  });
}

/** The record as it is now. */
export function readRun(api: Api, runId: string): Promise<Run> {
  return api.get(`/api/heartbeat-runs/${runId}`);
}

/** What the adapter reported beside the log. */
interface RunEvent {
  eventType: string;
  message: string | null;
  payload: Record<string, unknown> | null;
}

/** The events of a run. */
export function readEvents(api: Api, runId: string): Promise<RunEvent[]> {
  return api.get(`/api/heartbeat-runs/${runId}/events?limit=200`);
}

/** One call of the adapter's `onLog`. */
interface LogEntry {
  stream: "stdout" | "stderr" | "system";
  chunk: string;
}

/** The log of a run as far as it is there. */
export async function readLog(api: Api, runId: string): Promise<LogEntry[]> {
  let text = "";
  for (let offset: number | null = 0; offset !== null; ) {
    const page = await readPage(api, runId, offset);
    text += page.content ?? "";
    const next: number | null = page.nextOffset ?? null;
    offset = next === offset ? null : next;
  }
  const lines = text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter(Boolean);
  return lines.map((line) => JSON.parse(line) as LogEntry);
}

interface Page {
  content?: string;
  nextOffset?: number | null;
}

async function readPage(api: Api, runId: string, offset: number): Promise<Page> {
  try {
    return await api.get<Page>(`/api/heartbeat-runs/${runId}/log?offset=${offset}&limitBytes=262144`);
  } catch (error) {
    // A run that has said nothing yet has no log.
    if (error instanceof HttpError && error.status === 404) return {};
    throw error;
  }
}

/** What the log says on one stream. */
export function textOf(log: readonly LogEntry[], stream: LogEntry["stream"]): string {
  return log
    .filter((entry) => entry.stream === stream)
    .map(({ chunk }) => chunk)
    .join("");
}
