/** One run: validate what the host gave, read the prompt's inputs, hand over to the addon, pass its result back. */
import {
  type AdapterExecutionContext,
  type AdapterExecutionResult,
  inferOpenAiCompatibleBiller,
} from "@paperclipai/adapter-utils";
import { asString, buildPaperclipEnv, parseObject } from "@paperclipai/adapter-utils/server-utils";

import { type CancelReason, watchCancellation } from "./cancellation.js";
import { billingEnvironment, readServerEnvironment } from "../host/environment.js";
import { callHostWithin, describeError, statusLine } from "../host/calls.js";
import { toJsonText } from "../addon/json.js";
import { type Native, type NativeLoader, NativeUnavailableError } from "../addon/native.js";
import { withPodPaths } from "./pod-paths.js";
import { type PromptInputs, renderPrompt } from "./prompt.js";
import { readPromptInputs } from "./prompt-inputs.js";
import { buildRunRequest, findShapeProblem, type RunRequest, type SessionState } from "./request.js";
import { type RunHandle, runFeed } from "./feed.js";
import { createRunSink } from "./sink.js";
import { withUsageOf } from "./usage.js";

/** A harvested Job may ask for a run of its own; more than a few in a row mean that something is wrong. */
const MAX_ROUNDS = 5;

/** A status line of ours is not worth holding up a run. */
const STATUS_LINE_LIMIT_MS = 5_000;

/** What the addon hands back: the result of this round and, if there is more to do, how to go on. */
interface RunOutcome {
  result: AdapterExecutionResult;
  /** The run goes on with a Job of its own, from the session that was just harvested. */
  next?:
    | ({ sessionId?: string | null; sessionParams?: Record<string, unknown> | null } & Record<string, unknown>)
    | null;
}

interface SessionPlan {
  sessionId: string | null;
  note: string | null;
}

/** The host's entry point. It never throws: whatever goes wrong is a result with an error code. */
export type Execute = (ctx: AdapterExecutionContext) => Promise<AdapterExecutionResult>;

/** Makes `execute` over an addon. */
export function createExecute(load: NativeLoader): Execute {
  return async function execute(ctx) {
    try {
      const problem = findShapeProblem(ctx);
      if (problem !== null) return failure("k8s_invalid_request", `Cannot start the run: ${problem}.`);
      return await startValidated(load(), ctx);
    } catch (error) {
      if (error instanceof NativeUnavailableError) return failure(error.code, error.message);
      return failure(codeOf(error) ?? "k8s_internal_error", `The adapter failed: ${describeError(error)}`);
    }
  };
}

async function startValidated(native: Native, ctx: AdapterExecutionContext): Promise<AdapterExecutionResult> {
  try {
    native.buildPodLogPath(ctx.agent.companyId, ctx.agent.id, ctx.runId);
  } catch (error) {
    const why = describeError(error);
    return failure(
      "k8s_invalid_request",
      `${why}. Ids may hold letters, digits and hyphens only; nothing was created.`,
    );
  }
  if (ctx.onCancellationReady) {
    const ready = await callHostWithin(() => ctx.onCancellationReady?.());
    if (!ready.ok) await say(ctx, "stderr", `Warning: cancelling may be slow: ${describeError(ready.error)}`);
  }
  if (ctx.signal?.aborted) return cancelledBeforeStart();
  const inputs = await readPromptInputs(parseObject(ctx.config), (message) => say(ctx, "stderr", message));
  return withBiller(ctx, withCancellationTime(await runRounds(native, ctx, inputs)));
}

async function runRounds(
  native: Native,
  ctx: AdapterExecutionContext,
  inputs: PromptInputs,
): Promise<AdapterExecutionResult> {
  const run = new CancellableRun();
  const stopWatching = watchCancellation({
    ctx,
    issueId: issueIdOf(ctx),
    apiUrl: buildPaperclipEnv(ctx.agent)["PAPERCLIP_API_URL"],
    cancel: (reason) => run.cancel(reason),
  });
  try {
    let continuation: RunOutcome["next"];
    let earlier: Pick<AdapterExecutionResult, "usage" | "costUsd"> = {};
    for (let round = 1; ; round++) {
      if (run.reason !== null && round === 1) return cancelledBeforeStart();
      const outcome = await runRound(native, ctx, inputs, run, continuation);
      const result = withUsageOf(outcome.result, earlier);
      if (!outcome.next || round >= MAX_ROUNDS) return result;
      if (run.reason !== null) return cancelledAfter(result);
      continuation = outcome.next;
      earlier = result;
    }
  } finally {
    stopWatching();
  }
}

async function runRound(
  native: Native,
  ctx: AdapterExecutionContext,
  inputs: PromptInputs,
  run: CancellableRun,
  continuation: RunOutcome["next"],
): Promise<RunOutcome> {
  const request = withPodPaths(buildRunRequest(ctx, harvestedSession(continuation)));
  const plan = JSON.parse(native.planSession(toJsonText(request))) as SessionPlan;
  if (plan.note) await say(ctx, "stdout", plan.note);
  const prompt = renderPrompt(request, inputs, plan.sessionId !== null, ctx.agent);
  const handle = runFeed(native).start(
    toJsonText({
      ...request,
      ...prompt,
      continuation,
      environment: readServerEnvironment(),
      wantsProgress: typeof ctx.onRuntimeProgress === "function",
    } satisfies StartRequest),
    createRunSink(ctx, prompt),
  );
  run.attach(handle);
  return readOutcome(await handle.result());
}

/** An answer that is no result must not count as one: the host takes a missing exit code for a success. */
function readOutcome(json: string): RunOutcome {
  const outcome = JSON.parse(json) as RunOutcome | null;
  if (typeof outcome?.result !== "object" || outcome.result === null) {
    throw new Error("the native part returned no result; look for the Job in the cluster before starting again");
  }
  return outcome;
}

interface StartRequest extends RunRequest {
  prompt: string;
  promptMetrics: Record<string, number>;
  continuation: RunOutcome["next"];
  environment: object;
  /** The host shows where a run is. */
  wantsProgress: boolean;
}

/** Remembers a cancellation that comes before or between the handles it has to reach; the first reason wins. */
class CancellableRun {
  reason: CancelReason | null = null;
  private handle: RunHandle | null = null;

  attach(handle: RunHandle): void {
    this.handle = handle;
    if (this.reason !== null) handle.cancel(this.reason);
  }

  cancel(reason: CancelReason): void {
    if (this.reason !== null) return;
    this.reason = reason;
    this.handle?.cancel(reason);
  }
}

function harvestedSession(continuation: RunOutcome["next"]): SessionState | undefined {
  if (!continuation) return undefined;
  return { sessionId: continuation.sessionId ?? null, sessionParams: continuation.sessionParams ?? null };
}

function issueIdOf(ctx: AdapterExecutionContext): string | null {
  const context = parseObject(ctx.context);
  return asString(context["issueId"], asString(context["taskId"], "")).trim() || null;
}

/** A verified cancellation gets its time here: the addon reads no wall clock. */
function withCancellationTime(result: AdapterExecutionResult): AdapterExecutionResult {
  const cancellation = result.resultJson?.["executionCancellation"];
  if (cancellation == null) return result;
  const acknowledgedAt = new Date().toISOString();
  return {
    ...result,
    resultJson: { ...result.resultJson, executionCancellation: { ...cancellation, acknowledgedAt } },
  };
}

function withBiller(ctx: AdapterExecutionContext, result: AdapterExecutionResult): AdapterExecutionResult {
  if (result.biller != null || result.usage === undefined) return result;
  const env = billingEnvironment(parseObject(parseObject(ctx.config)["env"]));
  return { ...result, biller: inferOpenAiCompatibleBiller(env, null) ?? result.provider ?? "unknown" };
}

async function say(ctx: AdapterExecutionContext, stream: "stdout" | "stderr", message: string): Promise<void> {
  await callHostWithin(() => ctx.onLog(stream, statusLine(message)), STATUS_LINE_LIMIT_MS);
}

function failure(errorCode: string, errorMessage: string): AdapterExecutionResult {
  return { exitCode: null, signal: null, timedOut: false, errorCode, errorMessage };
}

/** Nothing was created yet, so the cancellation is complete and may be acknowledged. */
function cancelledBeforeStart(): AdapterExecutionResult {
  return {
    ...failure("cancelled", "Run cancelled before anything was created"),
    resultJson: { executionCancellation: { state: "acknowledged", acknowledgedAt: new Date().toISOString() } },
  };
}

/** Cancelled between an earlier Job and its own: what that one came to is not this run's result, but it is paid for. */
function cancelledAfter(earlier: AdapterExecutionResult): AdapterExecutionResult {
  const { usage, usageBasis, costUsd, provider, model, billingType, sessionId, sessionParams, sessionDisplayId } =
    earlier;
  const kept = { usage, usageBasis, costUsd, provider, model, billingType, sessionId, sessionParams, sessionDisplayId };
  const present = Object.entries(kept).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(present), ...cancelledBeforeStart() };
}

/** Codes of ours are lower case; the binding's own (`GenericFailure`) say nothing to an operator. */
function codeOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && /^[a-z][a-z0-9_]*$/.test(code) ? code : null;
}
