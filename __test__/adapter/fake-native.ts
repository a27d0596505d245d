/** A stand-in for the addon: real enough for the shim's own logic, with every answer in the hands of the test. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import type { Native } from "../../adapter/addon/native.js";
import type { JobBuildInput, RunCallKind, RunResult, RunStart } from "../../index.js";

/** A promise and its two ends. */
export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** A run whose end the test decides. */
class FakeRun {
  readonly cancels: string[] = [];
  readonly request: Record<string, any>;
  private readonly end = deferred<RunResult>();
  readonly result = this.end.promise;

  constructor(
    request: RunStart,
    private readonly onCall: (kind: RunCallKind, payload: string) => void | Promise<void>,
  ) {
    this.request = JSON.parse(JSON.stringify(request)) as Record<string, any>;
  }

  /** One call of this run; settles as the shim answers it. */
  readonly sink = async (kind: string, payload: string): Promise<void> => this.onCall(kind as RunCallKind, payload);

  cancel(reason: string): void {
    this.cancels.push(reason);
  }

  leave(): void {
    this.cancels.push("left");
  }

  finish(result: object): void {
    this.end.resolve(result as RunResult);
  }
}

/** What the fake was asked for. */
interface FakeNative extends Native {
  readonly runs: FakeRun[];
  readonly manifests: JobBuildInput[];
}

/** Makes a fake addon; single functions can be replaced. */
export function fakeNative(overrides: Partial<Native> = {}): FakeNative {
  const runs: FakeRun[] = [];
  const manifests: JobBuildInput[] = [];
  return {
    runs,
    manifests,
    nativeVersion: () => "1.2.3",
    buildPodLogPath: (companyId, agentId, runId) => {
      for (const [field, value] of Object.entries({ companyId, agentId, runId })) {
        if (!/^[a-zA-Z0-9-]+$/.test(value)) throw new Error(`Invalid ${field} for log path: ${value}`);
      }
      return `/paperclip/instances/default/run-logs/${companyId}/${agentId}/${runId}.pod.ndjson`;
    },
    buildJobManifest: (input) => {
      manifests.push(input);
      const isResumed = input.ctx.runtime?.sessionId != null && input.resumedPrompt !== undefined;
      return {
        job: {} as never,
        jobName: "job",
        namespace: "ns",
        prompt: isResumed ? input.resumedPrompt! : input.prompt,
        promptMetrics: (isResumed ? input.resumedPromptMetrics : input.promptMetrics) ?? {},
        opencodeArgs: [],
        podLogPath: "/p",
        warnings: ["careful"],
      };
    },
    sanitizeLabelValue: (value) => value,
    parseOpenCodeJsonl: () => ({}) as never,
    isOpenCodeStepLimitResult: () => false,
    isOpenCodeUnknownSessionError: () => false,
    resolveOutcome: () => ({ exitCode: 0, signal: null, timedOut: false }),
    sessionDeserialize: (raw) => (raw ?? null) as never,
    sessionSerialize: (params) => (params ?? null) as never,
    sessionDisplayId: () => "shown",
    observe: () => {},
    heldResources: () => ({ watches: 0, agents: 0, places: 0, tails: 0, stuckThreads: 0 }),
    tailPodLogFile: async () => "",
    startRun: (request, onCall) => {
      const run = new FakeRun(request, onCall);
      runs.push(run);
      return run;
    },
    probeEnvironment: async () => ({ checks: [] }),
    environmentOffVolume: (server) => server,
    agentEnvironment: () => ({}),
    quotaWindows: async () => ({ windows: [] }),
    readPromptFiles: async () => ({ instructions: "", skills: [], warnings: [] }),
    listSkillFolders: async () => ({ folder: null, skills: [], others: [] }),
    ...overrides,
  };
}

/** A host context that records its log. */
export function context(overrides: Record<string, unknown> = {}) {
  const log: [stream: string, chunk: string][] = [];
  const ctx = {
    runId: "run-1",
    agent: { id: "agent-1", companyId: "company-1", name: "Ada", adapterType: null, adapterConfig: null },
    runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
    config: {},
    context: {},
    onLog: async (stream: string, chunk: string) => {
      log.push([stream, chunk]);
    },
    ...overrides,
  } as unknown as AdapterExecutionContext;
  return { ctx, log, text: () => log.map(([, chunk]) => chunk).join("") };
}

/** Waits until `condition` holds; fails after three minutes. */
export async function eventually(condition: () => boolean): Promise<void> {
  const end = Date.now() + 180_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("did not happen within three minutes");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
