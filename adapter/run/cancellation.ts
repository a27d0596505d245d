/** Notices that a run is no longer wanted: the host's signal, or its issue set to cancelled. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import { apiUrlOf, describeError } from "../host/calls.js";

/** How often the issue's status is asked for. */
const ISSUE_POLL_MS = 15_000;

const REQUEST_LIMIT_MS = 10_000;

/** So many answers in a row without a status, and the run's log says so: a refusal stays, a network may come back. */
const SAID_AFTER = { refused: 2, failed: 4 };

/**
 * What the host aborts a run with whose controller's lease it could not renew: while it shuts down, or when its
 * database was away for a minute. Nobody has cancelled the run, and whoever comes next takes over its Job.
 */
const LEASE_LOST = "Legacy controller lease lost";

/** Why a run is cancelled, as the addon gets it. */
export type CancelReason = "signal" | "issue";

/** What watching needs; the parts a test replaces have defaults. */
interface CancellationInput {
  ctx: Pick<AdapterExecutionContext, "signal" | "authToken">;
  /** The run's issue, if it has one. */
  issueId: string | null;
  /** Where this server's own API answers. */
  apiUrl: string | undefined;
  /** Called at most once for each reason. */
  cancel: (reason: CancelReason) => void;
  /** Called at most once for each: the issue's status cannot be read; the host has given the run up. */
  warn?: (message: string) => void;
  pollMs?: number;
  fetch?: typeof fetch;
}

/** Starts watching; the returned function ends it and leaves no listener or timer behind. */
export function watchCancellation(input: CancellationInput): () => void {
  const stopSignal = watchSignal(input);
  const stopIssue = watchIssue(input);
  return () => {
    stopSignal();
    stopIssue();
  };
}

function watchSignal({ ctx: { signal }, cancel, warn }: CancellationInput): () => void {
  if (!signal) return () => {};
  return onAbort(signal, () => {
    if (!isLeaseLost(signal.reason)) return cancel("signal");
    warn?.(`Warning: Paperclip gave this run up (${LEASE_LOST}) without a cancel. Its agent works on`);
  });
}

function isLeaseLost(reason: unknown): boolean {
  return reason instanceof Error && reason.message === LEASE_LOST;
}

/** Calls back once, at once where the signal is aborted already; the returned function takes that back. */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  if (signal.aborted) call();
  else signal.addEventListener("abort", call, { once: true });
  return () => signal.removeEventListener("abort", call);
}

function watchIssue(input: CancellationInput): () => void {
  const { issueId, apiUrl, cancel, warn, pollMs = ISSUE_POLL_MS } = input;
  if (!issueId || !apiUrl) return () => {};
  const url = apiUrlOf(apiUrl, `issues/${encodeURIComponent(issueId)}`);
  const ended = new AbortController();
  let timer: NodeJS.Timeout;
  let failures = 0;
  const poll = async (): Promise<void> => {
    const answer = await readIssueStatus(url, input, ended.signal);
    if (ended.signal.aborted) return;
    if (answer.status === "cancelled") return cancel("issue");
    failures = answer.problem === undefined ? 0 : failures + 1;
    if (answer.problem !== undefined && failures === SAID_AFTER[answer.refused ? "refused" : "failed"]) {
      const unseen = `Paperclip does not show the task's state here (${answer.problem})`;
      warn?.(`Warning: ${unseen}. The run does not notice when the task is cancelled; cancel the run itself`);
      // Once a run: the poll goes on, and what it fails with is known.
      failures = Number.NEGATIVE_INFINITY;
    }
    schedule();
  };
  const schedule = (): void => {
    // A run is held by its addon, never by this timer.
    timer = setTimeout(() => void poll(), pollMs).unref();
  };
  schedule();
  return () => {
    ended.abort();
    clearTimeout(timer);
  };
}

interface IssueAnswer {
  status?: unknown;
  /** Why the status is unknown, which never cancels anything. */
  problem?: string;
  /** The API answered, and not with the issue. */
  refused?: boolean;
}

async function readIssueStatus(url: string, input: CancellationInput, ended: AbortSignal): Promise<IssueAnswer> {
  try {
    const response = await (input.fetch ?? fetch)(url, {
      headers: input.ctx.authToken ? { authorization: `Bearer ${input.ctx.authToken}` } : {},
      redirect: "error",
      signal: AbortSignal.any([ended, AbortSignal.timeout(REQUEST_LIMIT_MS)]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      return { problem: `HTTP ${response.status} from ${shownUrl(url)}`, refused: response.status < 500 };
    }
    const issue = (await response.json()) as { status?: unknown } | null;
    return { status: issue?.status };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return { problem: `${describeError(cause)} at ${shownUrl(url)}` };
  }
}

/** Without what may be a password. */
function shownUrl(url: string): string {
  return url.replace(/\/\/[^/@]*@/, "//").slice(0, 200);
}
