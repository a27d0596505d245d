/** Delivers what a run tells to the callbacks of the host. The addon calls it once at a time and bounds its patience. */
import type {
  AdapterExecutionContext,
  AdapterInvocationMeta,
  AdapterRuntimeEvent,
} from "@paperclipai/adapter-utils";

import { callHost, describeError, statusLine } from "./host.js";
import type { RenderedPrompt } from "./prompt.js";
import type { RunSink } from "./run-feed.js";

/** What the addon says about where a run is. */
interface Progress {
  message: string;
  phase?: string;
  currentToolName?: string | null;
  lastAssistantSnippet?: string | null;
}

type Handler = (payload: string) => unknown;

/** A sink for one run: never throws, never rejects, and reports a failing callback once per kind. */
export function createRunSink(ctx: AdapterExecutionContext, prompt: RenderedPrompt): RunSink {
  const handlers = handlersFor(ctx, prompt);
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

function handlersFor(ctx: AdapterExecutionContext, prompt: RenderedPrompt): Record<string, Handler | undefined> {
  return {
    stdout: (lines) => ctx.onLog("stdout", lines),
    stderr: (lines) => ctx.onLog("stderr", lines),
    meta: (json) => ctx.onMeta?.(invocationMeta(json, ctx, prompt)),
    event: (json) => ctx.onEvent?.(JSON.parse(json) as AdapterRuntimeEvent),
    progress: (json) => reportProgress(json, ctx),
    dispatch: () => ctx.onDispatch?.(),
  };
}

function invocationMeta(json: string, ctx: AdapterExecutionContext, prompt: RenderedPrompt): AdapterInvocationMeta {
  return { ...(JSON.parse(json) as AdapterInvocationMeta), ...prompt, context: ctx.context };
}

function reportProgress(json: string, ctx: AdapterExecutionContext): unknown {
  if (!ctx.onRuntimeProgress) return undefined;
  const { phase, ...rest } = JSON.parse(json) as Progress;
  type Update = Parameters<NonNullable<AdapterExecutionContext["onRuntimeProgress"]>>[0];
  return ctx.onRuntimeProgress({
    phase: (phase ?? "adapter_startup") as Update["phase"],
    lastEventAt: new Date(),
    ...rest,
  });
}
