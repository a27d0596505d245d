/** Notices that a run is no longer wanted: the host's signal and what its record says then, or its cancelled issue. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import { apiUrlOf } from "../host/calls.js";
import { type Asked, type HostAnswer, readRecord } from "../host/records.js";
import { type RunState, runStateOf } from "./run-state.js";

/** How often the issue's status is asked for. */
const ISSUE_POLL_MS = 15_000;

/** How often the record of a run is asked for whose signal is used up. The host waits a minute for a cancel's end. */
const RUN_POLL_MS = 10_000;

/** A cancel does not wait longer for what its record says. */
const READ_LIMIT_MS = 3_000;

const GOES_ON = "Warning: Paperclip lost its lease on this run, which goes on";

const LEFT = "Warning: Paperclip ended this run without a cancel: its Job is left to the task's next run";

/** So many answers in a row without a status, and the run's log says so: a refusal stays, a network may come back. */
const SAID_AFTER = { refused: 2, failed: 4 };

/** Why a run is to end: cancelled by the host's signal or by its issue, or given up by a host that spares its Job. */
export type StopReason = "signal" | "issue" | "lease";

/** What watching needs; the parts a test replaces have defaults. */
interface CancellationInput {
  ctx: Pick<AdapterExecutionContext, "signal" | "authToken">;
  runId: string;
  /** The run's issue, if it has one. */
  issueId: string | null;
  /** Where this server's own API answers. */
  apiUrl: string | undefined;
  /** Called at most once for each reason. */
  stop: (reason: StopReason) => void;
  /** Called at most once for each: a status cannot be read; the host has lost its lease on the run. */
  warn?: (message: string) => void;
  pollMs?: number;
  readLimitMs?: number;
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

/**
 * An abort is a cancel unless the host says otherwise. It aborts a run as well whose lease it could not renew: while it
 * shuts down, when its database was away, and when another server has ended the run, which may be a cancel again. What
 * it is stands in the run's record. While that says that the run goes on, it is asked for again: a cancel that comes
 * after such an abort has no signal left.
 */
function watchSignal(input: CancellationInput): () => void {
  const { apiUrl, runId, stop, warn, pollMs = RUN_POLL_MS, readLimitMs = READ_LIMIT_MS } = input;
  const { signal } = input.ctx;
  if (!signal) return () => {};
  const ended = new AbortController();
  const aborted = (): void => {
    const isLease = isLeaseLost(signal.reason);
    if (!apiUrl) return isLease ? warn?.(GOES_ON) : stop("signal");
    let isSaid = false;
    const asked = { ...askedOf(input, ended.signal), limitMs: readLimitMs };
    pollRecord(apiUrlOf(apiUrl, `heartbeat-runs/${encodeURIComponent(runId)}`), asked, {
      pollMs,
      delayMs: 0,
      unseen: ["this run's state", "Until it does, a cancel of the run is not noticed"],
      warn,
      take: (answer) => {
        const why = reasonOf(runStateOf(answer.record), isLease);
        if (why === "lease") warn?.(LEFT);
        if (why !== null) stop(why);
        else if (!isSaid) warn?.(GOES_ON);
        isSaid = true;
        return why !== null;
      },
    });
  };
  const forget = onAbort(signal, aborted);
  return () => {
    ended.abort();
    forget();
  };
}

/** `null`: the run goes on. */
function reasonOf(state: RunState, isLease: boolean): StopReason | null {
  if (state === "cancelled") return "signal";
  if (state === "interrupted" || (state === "lost" && isLease)) return "lease";
  return isLease ? null : "signal";
}

/**
 * The host's word for it is "Legacy controller lease lost". No reason of a cancel speaks of a lease; one that did would
 * be seen in the run's record.
 */
export function isLeaseLost(reason: unknown): boolean {
  return reason instanceof Error && /\blease\b/i.test(reason.message);
}

/** Calls back once, at once where the signal is aborted already; the returned function takes that back. */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  if (signal.aborted) call();
  else signal.addEventListener("abort", call, { once: true });
  return () => signal.removeEventListener("abort", call);
}

function watchIssue(input: CancellationInput): () => void {
  const { issueId, apiUrl, stop, warn, pollMs = ISSUE_POLL_MS } = input;
  if (!issueId || !apiUrl) return () => {};
  const ended = new AbortController();
  pollRecord(apiUrlOf(apiUrl, `issues/${encodeURIComponent(issueId)}`), askedOf(input, ended.signal), {
    pollMs,
    delayMs: pollMs,
    unseen: ["the task's state", "The run does not notice when the task is cancelled; cancel the run itself"],
    warn,
    take: ({ record }) => {
      const isCancelled = record?.["status"] === "cancelled";
      if (isCancelled) stop("issue");
      return isCancelled;
    },
  });
  return () => ended.abort();
}

function askedOf({ ctx, fetch }: CancellationInput, ended: AbortSignal): Asked {
  return { authToken: ctx.authToken, ended, fetch };
}

interface Poll {
  pollMs: number;
  /** Before the first question. */
  delayMs: number;
  /** What cannot be read, and what follows from that. */
  unseen: [what: string, so: string];
  warn: ((message: string) => void) | undefined;
  /** Whether nothing more has to be asked. */
  take: (answer: HostAnswer) => boolean;
}

/** Asks for a record again and again, until an answer is enough or the run has ended. */
function pollRecord(url: string, asked: Asked, { pollMs, delayMs, unseen: [what, so], warn, take }: Poll): void {
  const { ended } = asked;
  let timer: NodeJS.Timeout;
  let failures = 0;
  const poll = async (): Promise<void> => {
    const answer = await readRecord(url, asked);
    if (ended.aborted || take(answer)) return;
    failures = answer.problem === undefined ? 0 : failures + 1;
    if (answer.problem !== undefined && failures === SAID_AFTER[answer.refused ? "refused" : "failed"]) {
      warn?.(`Warning: Paperclip does not show ${what} here (${answer.problem}). ${so}`);
      // Once a run: the poll goes on, and what it fails with is known.
      failures = Number.NEGATIVE_INFINITY;
    }
    schedule(pollMs);
  };
  const schedule = (ms: number): void => {
    // A run is held by its addon, never by this timer.
    timer = setTimeout(() => void poll(), ms).unref();
  };
  schedule(delayMs);
  ended.addEventListener("abort", () => clearTimeout(timer), { once: true });
}
