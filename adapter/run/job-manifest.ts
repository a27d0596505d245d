/** The Kubernetes objects of a run: the prompt is rendered here, the rest is the addon's. Synchronous. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import type { JobBuildBase, JobBuildResult } from "../../index.js";
import type { NativeLoader } from "../addon/native.js";
import { callHost, statusLine } from "../host/calls.js";
import { renderPrompt } from "./prompt.js";
import { buildRunRequest } from "./request.js";

/**
 * Prompts over this many UTF-8 bytes travel in a Secret: one environment value may not exceed 128 KiB, and what
 * surrounds the prompt needs some of that.
 */
export const LARGE_PROMPT_THRESHOLD_BYTES = 100 * 1024;

/** Input of {@link BuildJobManifest}: the prompt is rendered from the host's context. */
export interface JobBuildInput extends JobBuildBase {
  /** What the host hands to `execute`. */
  ctx: AdapterExecutionContext;
  /** The agent's instructions file, first section of the prompt. */
  instructionsContent?: string | undefined;
  /** The text of the agent's skills, second section of the prompt. */
  skillsBundleContent?: string | undefined;
}

/** Builds the Job of a run; throws with a clear message when the input cannot make a valid one. */
export type BuildJobManifest = (input: JobBuildInput) => Omit<JobBuildResult, "warnings">;

/** Makes `buildJobManifest` over an addon. */
export function createBuildJobManifest(load: NativeLoader): BuildJobManifest {
  return function buildJobManifest(input) {
    const objects = { input, "input.ctx": input?.ctx, "input.ctx.agent": input?.ctx?.agent };
    for (const [name, value] of Object.entries(objects)) {
      if (typeof value !== "object" || value === null) throw new TypeError(`${name} must be an object`);
    }
    const { ctx, instructionsContent, skillsBundleContent, ...rest } = input;
    for (const [name, value] of Object.entries({ instructionsContent, skillsBundleContent })) {
      if (typeof (value ?? "") !== "string") throw new TypeError(`input.${name} must be a text`);
    }
    const native = load();
    const request = buildRunRequest(native, ctx);
    const { runId, agent, runtime, config, context, authToken, ...ofHost } = request;
    const render = (resuming: boolean) =>
      renderPrompt(request, { instructionsContent, skillsBundleContent }, resuming, ctx.agent);
    // Whether a stored session is resumed is the addon's decision; without one there is nothing to decide.
    const resumed = runtime?.sessionId || runtime?.sessionParams ? render(true) : undefined;
    const { warnings, ...result } = native.buildJobManifest({
      ...rest,
      ...ofHost,
      ctx: { runId, agent, runtime, config, context, authToken },
      ...render(false),
      resumedPrompt: resumed?.prompt,
      resumedPromptMetrics: resumed?.promptMetrics,
    });
    for (const warning of warnings) warnHost(ctx, warning);
    return result;
  };
}

/** Building is synchronous, so it writes to the host's log without waiting for it. */
function warnHost(ctx: AdapterExecutionContext, warning: string): void {
  if (typeof ctx.onLog === "function") void callHost(() => ctx.onLog("stderr", statusLine(warning)));
}
