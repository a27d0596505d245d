/** One run: validate what the host gave, read the prompt's inputs, hand over to the addon, pass its result back. */
import {
  type AdapterExecutionContext,
  type AdapterExecutionResult,
  inferOpenAiCompatibleBiller,
} from "@paperclipai/adapter-utils";
import { asString, buildPaperclipEnv, parseObject } from "@paperclipai/adapter-utils/server-utils";

import type { RunResult, RunStart } from "../../index.js";
import { isLeaseLost, onAbort, type StopReason, watchCancellation } from "./cancellation.js";
import { agentEnvironment } from "./agent-env.js";
import { billingEnvironment, readServerEnvironment } from "../host/environment.js";
import { callHostWithin, describeError, statusLine } from "../host/calls.js";
import { githubLauncher, type McpServer, mcpServers } from "../host/adapter-utils.js";
import { NativeFailure } from "../addon/answer.js";
import type { Native, NativeLoader } from "../addon/native.js";
import { withPodPaths } from "./pod-paths.js";
import { type PromptInputs, renderPrompts } from "./prompt.js";
import { readPromptInputs } from "./prompt-inputs.js";
import { buildRunRequest, findShapeProblem } from "./request.js";
import { withOperatorSettings } from "../settings/operator.js";
import { createRunSink } from "./sink.js";

/** A status line of ours is not worth holding up a run. */
const STATUS_LINE_LIMIT_MS = 5_000;

/** The host takes a run without a sign of life for lost. */
const KEEPALIVE_MS = 15_000;

/** The addon's code for a run that it was asked to leave. */
const LEASE_LOST = "k8s_lease_lost";

/** Reading takes no longer, unless something hangs. */
const SLOW_READING_MS = 1_000;

/**
 * The host's entry point. Whatever goes wrong is a result with an error code. It throws only {@link LeftRun}: a host
 * takes each result for the end of the work in the run's folder.
 */
export type Execute = (ctx: AdapterExecutionContext) => Promise<AdapterExecutionResult>;

/** Makes `execute` over an addon; `decorate` may change what of a run the host's log shows. */
export function createExecute(load: NativeLoader, decorate = (run: Execute): Execute => run): Execute {
  return async function execute(ctx) {
    try {
      const problem = findShapeProblem(ctx);
      if (problem !== null) return failure("k8s_invalid_request", `Cannot start the run: ${problem}.`);
      const { config, warnings } = withOperatorSettings(ctx.config);
      const settled = config === ctx.config ? ctx : { ...ctx, config };
      return await decorate((ctx) => startValidated(load(), ctx, warnings))(settled);
    } catch (error) {
      if (error instanceof NativeFailure) return error.result;
      if (error instanceof LeftRun) throw error;
      const code = codeOf(error);
      if (code !== null) return failure(code, describeError(error));
      return failure("k8s_internal_error", `The adapter failed: ${describeError(error)}`);
    }
  };
}

/** The host has given the run up without a cancel: its record has its end, and its Job is the task's next run's. */
export class LeftRun extends Error {}

interface StartedRun {
  native: Native;
  ctx: AdapterExecutionContext;
  /** The run is to end; once the addon has it, with the first {@link StopReason}. */
  stopped: AbortSignal;
  /** What is to be said at its beginning. */
  warnings: string[];
}

async function startValidated(
  native: Native,
  ctx: AdapterExecutionContext,
  warnings: string[],
): Promise<AdapterExecutionResult> {
  try {
    native.buildPodLogPath(ctx.agent.companyId, ctx.agent.id, ctx.runId);
  } catch (error) {
    const hint = "Ids may hold letters, digits and hyphens only; nothing was created.";
    return failure("k8s_invalid_id", `${describeError(error)}. ${hint}`);
  }
  // The first reason wins: it aborts once.
  const stopping = new AbortController();
  const { signal } = stopping;
  const started = { native, ctx, stopped: signal, warnings };
  const stopWatching = watchCancellation({
    ctx,
    runId: ctx.runId,
    issueId: issueIdOf(ctx),
    apiUrl: buildPaperclipEnv(ctx.agent)["PAPERCLIP_API_URL"],
    stop: (reason) => stopping.abort(reason),
    warn: (message) => void (signal.aborted || say(ctx, "stderr", message)),
  });
  try {
    // Before anything is made, an abort ends the run whatever it means.
    const aborted = AbortSignal.any(ctx.signal ? [ctx.signal, signal] : [signal]);
    const stopped = new Promise<null>((resolve) => onAbort(aborted, () => resolve(null)));
    // The volume may hang: a cancel waits for nothing of it.
    const inputs = await Promise.race([prepare({ ...started, stopped: aborted }), stopped]);
    if (inputs === null || aborted.aborted) return stoppedBeforeStart(ctx);
    const result = await run(started, inputs);
    if (result.errorCode === LEASE_LOST) throw new LeftRun(result.errorMessage ?? LEASE_LOST);
    return withBiller(started, withCancellationTime(signal.aborted ? result : withoutLease(ctx, result)));
  } finally {
    stopWatching();
  }
}

/** What has to be known before the addon takes over; `null` when the run was stopped meanwhile. */
async function prepare({ native, ctx, stopped, warnings }: StartedRun): Promise<PromptInputs | null> {
  const tell = async (stream: "stdout" | "stderr", ...messages: string[]): Promise<void> => {
    if (!stopped.aborted && messages.length > 0) await say(ctx, stream, ...messages);
  };
  const sayAlive = (): void => void tell("stdout", "keepalive — reading what goes into the prompt");
  const keepalive = setInterval(sayAlive, KEEPALIVE_MS);
  const since = performance.now();
  try {
    if (ctx.onCancellationReady) {
      const ready = await callHostWithin(() => ctx.onCancellationReady?.());
      if (!ready.ok) await tell("stderr", `Warning: cancelling may be slow: ${describeError(ready.error)}`);
    }
    if (stopped.aborted) return null;
    await tell("stderr", ...warnings);
    const { inputs, warnings: unread } = await readPromptInputs(native, parseObject(ctx.config));
    await tell("stderr", ...unread);
    // The addon's own signs of life begin anew.
    if (performance.now() - since > SLOW_READING_MS) sayAlive();
    return inputs;
  } catch (error) {
    if (error instanceof NativeFailure) await tell("stderr", error.message);
    throw error;
  } finally {
    clearInterval(keepalive);
  }
}

async function run({ native, ctx, stopped }: StartedRun, inputs: PromptInputs): Promise<AdapterExecutionResult> {
  const request = withPodPaths(buildRunRequest(native, ctx));
  const prompts = renderPrompts(request, inputs, ctx.agent);
  const start: RunStart = {
    ...request,
    ...prompts.fresh,
    githubLauncher: await githubLauncher(),
    mcpServers: await listMcpServers(ctx),
    resumedPrompt: prompts.resumed?.prompt,
    resumedPromptMetrics: prompts.resumed?.promptMetrics,
    environment: readServerEnvironment(),
    wantsProgress: typeof ctx.onRuntimeProgress === "function",
  };
  const handle = native.startRun(start, createRunSink(ctx, prompts));
  onAbort(stopped, () => {
    const reason = stopped.reason as StopReason;
    if (reason === "lease") handle.leave();
    else handle.cancel(reason);
  });
  return readResult(await handle.result);
}

/** The MCP servers of the company's connections; an agent works without those that the host cannot list. */
async function listMcpServers(ctx: AdapterExecutionContext): Promise<McpServer[]> {
  try {
    return mcpServers(ctx.runtimeMcp);
  } catch (error) {
    const what = `MCP servers not known: Paperclip could not list them (${describeError(error)})`;
    await say(ctx, "stderr", `Warning: ${what}. The agent has none`);
    return [];
  }
}

/** An answer that is no result must not count as one: the host takes a missing exit code for a success. */
function readResult(result: RunResult | null): AdapterExecutionResult {
  if (typeof result?.timedOut !== "boolean") {
    throw new Error("the native part returned no result; look for the Job in the cluster before starting again");
  }
  return result;
}

function issueIdOf(ctx: AdapterExecutionContext): string | null {
  const context = parseObject(ctx.context);
  return asString(context["issueId"], asString(context["taskId"], "")).trim() || null;
}

/** A verified cancellation gets its time here: the addon reads no wall clock. */
function withCancellationTime(result: AdapterExecutionResult): AdapterExecutionResult {
  const cancellation = result.resultJson?.["executionCancellation"];
  if (cancellation != null) Object.assign(cancellation, { acknowledgedAt: new Date().toISOString() });
  return result;
}

/**
 * A host whose signal is aborted calls the run cancelled, whatever its result. Of one that nobody has cancelled, this
 * is what its page then shows for it; a failure has its own words.
 */
function withoutLease({ signal }: AdapterExecutionContext, result: AdapterExecutionResult): AdapterExecutionResult {
  if (!isLeaseLost(signal?.reason) || result.errorMessage != null) return result;
  const lost = "Not cancelled: the agent has done its work, and its result is here";
  return { ...result, errorMessage: `${lost}. Paperclip lost its lease on the run meanwhile, and ends such a run so` };
}

function withBiller({ native, ctx }: StartedRun, result: AdapterExecutionResult): AdapterExecutionResult {
  if (result.biller != null || result.usage === undefined) return result;
  const env = billingEnvironment(agentEnvironment(native, parseObject(ctx.config)));
  return { ...result, biller: inferOpenAiCompatibleBiller(env, null) ?? result.provider ?? "unknown" };
}

/** All messages in one call, so that a host which hangs costs the limit once. */
async function say(ctx: AdapterExecutionContext, stream: "stdout" | "stderr", ...messages: string[]): Promise<void> {
  await callHostWithin(() => ctx.onLog(stream, messages.map(statusLine).join("")), STATUS_LINE_LIMIT_MS);
}

function failure(errorCode: string, errorMessage: string): AdapterExecutionResult {
  return { exitCode: null, signal: null, timedOut: false, errorCode, errorMessage };
}

/** Nothing was created yet: a cancel is complete and may be acknowledged; without one, the host may repeat the run. */
function stoppedBeforeStart({ signal }: AdapterExecutionContext): AdapterExecutionResult {
  if (isLeaseLost(signal?.reason)) {
    const lost = "Run given up by Paperclip, which lost its lease on it before anything was created";
    const executionRecovery = { kind: "bootstrap", providerWorkStarted: false } as const;
    return { ...failure(LEASE_LOST, `${lost}. Start the task again`), executionRecovery };
  }
  return {
    ...failure("cancelled", "Run cancelled before anything was created"),
    resultJson: { executionCancellation: { state: "acknowledged", acknowledgedAt: new Date().toISOString() } },
  };
}

/** Codes of ours are lower case; the binding's own (`GenericFailure`) say nothing to an operator. */
function codeOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && /^[a-z][a-z0-9_]*$/.test(code) ? code : null;
}
