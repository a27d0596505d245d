/** The Kubernetes objects of a run, built by the addon: synchronous and without side effects. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import { callHost, statusLine } from "../host/calls.js";
import { joinJsonObjects, toJsonText } from "../addon/json.js";
import type { Native, NativeLoader } from "../addon/native.js";
import { renderPrompt } from "./prompt.js";
import { buildRunRequest } from "./request.js";

/**
 * Prompts over this many UTF-8 bytes travel in a Secret: one environment value may not exceed 128 KiB, and what
 * surrounds the prompt needs some of that.
 */
export const LARGE_PROMPT_THRESHOLD_BYTES = 100 * 1024;

/** A secret volume of the server's own pod that Jobs inherit. */
export interface SelfPodSecretVolume {
  volumeName: string;
  secretName: string;
  mountPath: string;
  defaultMode?: number | undefined;
}

/** What the server knows of its own pod; Jobs inherit it. Objects of the Kubernetes API keep its field names. */
export interface SelfPodInfo {
  namespace: string;
  image: string;
  imagePullSecrets: { name: string }[];
  dnsConfig?: object | undefined;
  /** The claim mounted at `/paperclip`. */
  pvcClaimName: string | null;
  /** The `subPath` of that mount. */
  dataSubPath?: string | undefined;
  /** The `subPathExpr` of that mount; a Job cannot inherit it, so building refuses it. */
  dataSubPathExpr?: string | undefined;
  secretVolumes: SelfPodSecretVolume[];
  inheritedEnv: Record<string, string>;
  inheritedEnvValueFrom: { name: string; valueFrom?: object | undefined }[];
  inheritedEnvFrom?: object[] | undefined;
  nodeSelector?: Record<string, string> | undefined;
  tolerations?: object[] | undefined;
}

/** Input of {@link BuildJobManifest}. */
export interface JobBuildInput {
  ctx: AdapterExecutionContext;
  selfPod: SelfPodInfo;
  /** The agent's instructions file, first section of the prompt. */
  instructionsContent?: string | undefined;
  /** The text of the agent's skills, second section of the prompt. */
  skillsBundleContent?: string | undefined;
  /** The Secret that holds the prompt, for prompts over {@link LARGE_PROMPT_THRESHOLD_BYTES}. */
  promptSecretName?: string | undefined;
  /** The agent's own claim for opencode's database; `null`: a volume that lives as long as the pod. */
  agentDbClaimName?: string | null | undefined;
  /** opencode's database file on the shared volume: absolute, under `/paperclip`. */
  agentDbPath?: string | undefined;
  /** Keeps the Job after it ended: it gets no time to live. */
  retainJobs?: boolean | undefined;
  /** What the init container must find beside the log file before it goes on. */
  nonce?: string | undefined;
}

/** A Job as the Kubernetes API takes it. */
export interface KubernetesJob {
  apiVersion: "batch/v1";
  kind: "Job";
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  // The API's own schema is the type; naming a Kubernetes client here would make it a dependency of every user.
  // biome-ignore lint/suspicious/noExplicitAny: callers read fields of any depth.
  spec: Record<string, any>;
}

/** A manifest and what its callers need to know about it. */
export interface JobBuildResult {
  job: KubernetesJob;
  jobName: string;
  namespace: string;
  prompt: string;
  opencodeArgs: string[];
  promptMetrics: Record<string, number>;
  /** The log file as the pod sees it. */
  podLogPath: string;
}

/** Builds the Job of a run; throws with a clear message when the input cannot make a valid one. */
export type BuildJobManifest = (input: JobBuildInput) => JobBuildResult;

/** Makes `buildJobManifest` over an addon. */
export function createBuildJobManifest(load: NativeLoader): BuildJobManifest {
  return function buildJobManifest(input) {
    const native = load();
    const { ctx, selfPod, instructionsContent, skillsBundleContent, ...rest } = input;
    const { promptSecretName, agentDbClaimName, agentDbPath, retainJobs, nonce } = rest;
    const request = buildRunRequest(ctx);
    const requestJson = toJsonText(request);
    const resuming = resumesSession(native, requestJson);
    const rendered = renderPrompt(request, { instructionsContent, skillsBundleContent }, resuming, ctx.agent);
    const prompt = rendered.prompt.toWellFormed();
    const inputsJson = toJsonText({ selfPod, promptSecretName, agentDbClaimName, agentDbPath, retainJobs, nonce });
    const answer = native.buildJobManifest(joinJsonObjects(requestJson, inputsJson), prompt);
    const { warnings, ...result } = JSON.parse(answer) as JobBuildAnswer;
    for (const warning of warnings ?? []) warnHost(ctx, warning);
    return { ...result, prompt, promptMetrics: rendered.promptMetrics };
  };
}

/** What the addon adds to what is known here. */
type JobBuildAnswer = Omit<JobBuildResult, "prompt" | "promptMetrics"> & { warnings?: string[] };

function resumesSession(native: Native, requestJson: string): boolean {
  const plan = JSON.parse(native.planSession(requestJson)) as { sessionId: string | null };
  return plan.sessionId !== null;
}

/** Building is synchronous, so it writes to the host's log without waiting for it. */
function warnHost(ctx: AdapterExecutionContext, warning: string): void {
  if (typeof ctx.onLog !== "function") return;
  const line = warning.startsWith("[paperclip] ") ? `${warning.trimEnd()}\n` : statusLine(warning.trimEnd());
  void callHost(() => ctx.onLog("stderr", line));
}

/** Makes `buildPodLogPath` over an addon: the log file of a run as its pod sees it. */
export function createBuildPodLogPath(load: NativeLoader) {
  // What is no text is refused by name, as every other bad id is.
  const text = (id: unknown): string => (typeof id === "string" ? id : `(${typeof id})`);
  return function buildPodLogPath(companyId: string, agentId: string, runId: string): string {
    return load().buildPodLogPath(text(companyId), text(agentId), text(runId));
  };
}

/** Makes `sanitizeLabelValue` over an addon: a valid label value, and a warning when characters were dropped. */
export function createSanitizeLabelValue(load: NativeLoader) {
  return function sanitizeLabelValue(value: string, warn?: (message: string) => void): string {
    const cleaned = JSON.parse(load().sanitizeLabelValue(value)) as { value: string; dropped: boolean };
    if (cleaned.dropped) {
      warn?.(statusLine(`sanitizeLabelValue: dropped chars from "${value}" -> "${cleaned.value}"`));
    }
    return cleaned.value;
  };
}
