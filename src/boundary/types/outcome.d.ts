/** Tokens as the host counts them. */
export interface TokenUsage {
  /** Input that was not read from the provider's cache, with what was written to it. */
  inputTokens: number;
  /** Output and reasoning. */
  outputTokens: number;
  cachedInputTokens: number;
}

/** What opencode's JSON lines add up to. Later versions may add fields. */
export interface ParsedTranscript {
  [field: string]: unknown;
  sessionId: string | null;
  /** All texts of the agent. */
  summary: string;
  usage: TokenUsage;
  /** In USD, by opencode's price table. */
  costUsd: number;
  /** What opencode reported as an error of the run; errors of tools are apart. */
  errorMessage: string | null;
  toolErrorMessage: string | null;
  /** What the agent said last. */
  lastMessage: string;
  cacheWriteTokens: number;
  reasoningTokens: number;
  /** Why the model's last step ended: `stop`, `tool-calls`, `length`, and so on. */
  lastStepReason: string | null;
  /** The last step ended the answer. */
  completedCleanly: boolean;
  /** Steps that have ended. */
  steps: number;
}

/** The facts a run is judged by. */
export interface OutcomeFacts {
  /** All of opencode's stdout. */
  stdout: string;
  /** opencode's stderr, or its end. */
  stderr: string;
  /** opencode's exit status; `null` when nobody knows it. */
  exitCode: number | null;
  /** The signal that ended opencode. */
  signal?: string | null | undefined;
  /** The container's reason as Kubernetes words it, such as `OOMKilled`. */
  reason?: string | null | undefined;
  /** Whether every byte that the pod wrote was read. */
  logState: "proven" | "counted" | "unproven" | "incomplete";
  /** The deadline passed (false). */
  timedOut?: boolean | undefined;
  /** That deadline in seconds, for the message. */
  timeoutSec?: number | null | undefined;
  /** The run was cancelled (false). */
  cancelled?: boolean | undefined;
  /** The model as configured, with or without its provider. */
  model?: string | null | undefined;
  /** The session that the run was to resume: its id, or its parameters. */
  session?: unknown;
}

/** The host's `AdapterExecutionResult`, as this package fills it. */
export interface RunResult {
  /** 0 exactly for a success; `null` when nobody knows it. */
  exitCode: number | null;
  signal: string | null;
  timedOut: boolean;
  /** Set exactly for a failure. */
  errorMessage?: string | null;
  /** One of the codes of the README; set exactly for a failure. */
  errorCode?: string | null;
  errorFamily?: "transient_upstream" | "provider_quota" | "model_refusal" | null;
  errorMeta?: Record<string, unknown>;
  usage?: TokenUsage;
  usageBasis?: "per_run";
  /** The session that the next run can resume; absent: the host keeps what it has. */
  sessionId?: string | null;
  sessionParams?: Record<string, unknown> | null;
  sessionDisplayId?: string | null;
  provider?: string | null;
  model?: string | null;
  billingType?: "unknown";
  /** In USD, by opencode's price table. */
  costUsd?: number | null;
  /** An excerpt of stdout (1 MiB at most) and details of the end. */
  resultJson?: Record<string, unknown> | null;
  /** What the agent said last. */
  summary?: string | null;
  /** The next run must not resume the session. */
  clearSession?: boolean;
  /** opencode provably never started: the host may start the run again. */
  executionRecovery?: { kind: "bootstrap"; providerWorkStarted: false };
}

/** The parameters of a stored session, as they are written. */
export interface SessionParams {
  [key: string]: string | undefined;
  sessionId: string;
  /** The working directory of the session: opencode cannot move one. */
  cwd?: string;
  workspaceId?: string;
  repoUrl?: string;
  repoRef?: string;
}
