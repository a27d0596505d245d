/** What the addon reads out of opencode's output, and its judgement of a run, for callers in JavaScript. */
import type { AdapterExecutionResult } from "@paperclipai/adapter-utils";

import { toJsonText } from "../addon/json.js";
import type { NativeLoader } from "../addon/native.js";

/** What opencode's JSON lines add up to. The addon may add further fields. */
export interface ParsedTranscript {
  sessionId: string | null;
  summary: string;
  usage: { inputTokens: number; cachedInputTokens: number; outputTokens: number };
  costUsd: number;
  errorMessage: string | null;
  [further: string]: unknown;
}

/** The facts a run is judged by. */
export interface OutcomeFacts {
  /** All of opencode's stdout. */
  stdout: string;
  /** All of opencode's stderr. */
  stderr: string;
  /** opencode's exit status; `null` when nobody knows it. */
  exitCode: number | null;
  /** The signal that ended opencode. */
  signal?: string | null | undefined;
  /** The container's reason as Kubernetes words it, such as `OOMKilled`. */
  reason?: string | null | undefined;
  /** Whether every byte the pod wrote was read. */
  logState: "proven" | "unproven" | "incomplete";
  timedOut?: boolean | undefined;
  cancelled?: boolean | undefined;
  /** The configured model. */
  model?: string | null | undefined;
  /** The session the run was started with. */
  session?: unknown;
}

/** Makes the transcript functions over an addon. */
export function createTranscriptFunctions(load: NativeLoader) {
  return {
    /** Folds opencode's JSON lines into session, summary, usage, cost and error. */
    parseOpenCodeJsonl(stdout: string): ParsedTranscript {
      return JSON.parse(load().parseOpenCodeJsonl(stdout)) as ParsedTranscript;
    },
    /** Whether the run ended because the agent used up its steps. */
    isOpenCodeStepLimitResult(stdout: string): boolean {
      return load().isStepLimitResult(stdout);
    },
    /** Whether opencode did not know the session it was asked to resume. */
    isOpenCodeUnknownSessionError(stdout: string, stderr = ""): boolean {
      return load().isUnknownSessionError(stdout, stderr);
    },
    /** The result `execute` returns for these facts. */
    resolveOutcome(facts: OutcomeFacts): AdapterExecutionResult {
      return JSON.parse(load().resolveOutcome(toJsonText(facts))) as AdapterExecutionResult;
    },
  };
}
