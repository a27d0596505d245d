/** Notices that a run is no longer wanted: the host's signal, or its issue set to cancelled. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

/** How often the issue's status is asked for. */
const ISSUE_POLL_MS = 15_000;

const REQUEST_LIMIT_MS = 10_000;

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

function watchSignal({ ctx: { signal }, cancel }: CancellationInput): () => void {
  if (!signal) return () => {};
  const onAbort = (): void => cancel("signal");
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return () => signal.removeEventListener("abort", onAbort);
}

function watchIssue(input: CancellationInput): () => void {
  const { issueId, apiUrl, cancel, pollMs = ISSUE_POLL_MS } = input;
  if (!issueId || !apiUrl) return () => {};
  const ended = new AbortController();
  let timer: NodeJS.Timeout;
  const poll = async (): Promise<void> => {
    const status = await readIssueStatus(input, ended.signal);
    if (ended.signal.aborted) return;
    if (status === "cancelled") cancel("issue");
    else schedule();
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

/** The status of the run's issue; `null` when it is unknown now, which never cancels anything. */
async function readIssueStatus(input: CancellationInput, ended: AbortSignal): Promise<unknown> {
  try {
    const url = new URL(`/api/issues/${encodeURIComponent(input.issueId ?? "")}`, input.apiUrl);
    const response = await (input.fetch ?? fetch)(url, {
      headers: input.ctx.authToken ? { authorization: `Bearer ${input.ctx.authToken}` } : {},
      redirect: "error",
      signal: AbortSignal.any([ended, AbortSignal.timeout(REQUEST_LIMIT_MS)]),
    });
    if (!response.ok) {
      await response.body?.cancel();
      return null;
    }
    const issue = (await response.json()) as { status?: unknown } | null;
    return issue?.status;
  } catch {
    return null;
  }
}
