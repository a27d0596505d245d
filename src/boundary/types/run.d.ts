/** The request of one run: what the adapter makes of the host's context. */
export interface RunStart extends Omit<JobBuildInput, "ctx" | keyof JobBuildBase>, JobRunContext {
  environment: ServerEnvironment;
  /** The host shows where a run is (false). */
  wantsProgress?: boolean | undefined;
}

/** What a run tells: whole lines (`stdout`, `stderr`), or JSON text; `dispatch` is empty. */
export type RunCallKind = "stdout" | "stderr" | "meta" | "progress" | "event" | "dispatch";

/** A run in progress. */
export interface RunHandle {
  /** Resolves when the run is over. */
  readonly result: Promise<RunResult>;
  /** Asks the run to stop: its Job is deleted and the result says `cancelled`. Later calls change nothing. */
  cancel(reason: string): void;
  /**
   * Asks the run to end at once and to leave its Job, its files and its Secret as they are, for the task's next run:
   * the result says `k8s_lease_lost`. Later calls change nothing.
   */
  leave(): void;
}
