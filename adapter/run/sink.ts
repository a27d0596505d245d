/**
 * Delivers what a run tells to the callbacks of the host. Lines come one call at a time; progress and
 * events come beside them, so that they delay no line. How long an answer is waited for is the addon's business.
 */
import type { AdapterExecutionContext, AdapterInvocationMeta, AdapterRuntimeEvent } from "@paperclipai/adapter-utils";

import type { Fields } from "../host/fields.js";
import { callHost, describeError, statusLine } from "../host/calls.js";
import type { RenderedPrompts } from "./prompt.js";

/** Receives what a run tells: lines when the last were taken; progress and events beside them. */
type RunSink = (kind: string, payload: string) => Promise<void>;

function withoutAccess(context: unknown): Fields {
  return Object.fromEntries(Object.entries(context ?? {}).filter(([key]) => !ACCESS_KEYS.includes(key)));
}

type Progress = Parameters<NonNullable<AdapterExecutionContext["onRuntimeProgress"]>>[0];

/** Parts of the context through which a run acts as itself; they are stored with the invocation's event otherwise. */
const ACCESS_KEYS: readonly string[] = ["paperclipRuntimeTools", "paperclipManagedMcp"];

/** A sink for one run: never throws, never rejects, and reports a failing callback once per kind. */
export function createRunSink(ctx: AdapterExecutionContext, prompts: RenderedPrompts): RunSink {
  const handlers = handlersFor(ctx, prompts);
  const reported = new Set<string>();
  return async (kind, payload) => {
    const handle = handlers[kind];
    if (!handle) return;
    const call = await callHost(() => handle(payload));
    if (call.ok || reported.has(kind)) return;
    reported.add(kind);
    // Not awaited: if this callback hangs as well, the run goes on.
    void callHost(() =>
      ctx.onLog("stderr", statusLine(`Warning: the host failed to take "${kind}": ${describeError(call.error)}`)),
    );
  };
}

function handlersFor(
  ctx: AdapterExecutionContext,
  prompts: RenderedPrompts,
): Record<string, (payload: string) => unknown> {
  return {
    stdout: (lines) => ctx.onLog("stdout", lines),
    stderr: (lines) => ctx.onLog("stderr", lines),
    meta: (json) => ctx.onMeta?.(invocationMeta(json, ctx, prompts)),
    event: (json) => ctx.onEvent?.(JSON.parse(json) as AdapterRuntimeEvent),
    progress: (json) => reportProgress(json, ctx),
    dispatch: () => ctx.onDispatch?.(),
  };
}

function invocationMeta(json: string, ctx: AdapterExecutionContext, prompts: RenderedPrompts): AdapterInvocationMeta {
  const { resumesSession, ...meta } = JSON.parse(json) as AdapterInvocationMeta & { resumesSession: boolean };
  const prompt = (resumesSession ? prompts.resumed : undefined) ?? prompts.fresh;
  return { ...meta, ...prompt, context: withoutAccess(ctx.context) };
}

function reportProgress(json: string, ctx: AdapterExecutionContext): unknown {
  return ctx.onRuntimeProgress?.({ ...(JSON.parse(json) as Progress), lastEventAt: new Date() });
}
