/** A stand-in for the addon: real enough for the shim's own logic, with every answer in the hands of the test. */
import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";

import type { Native, NativeRun, Runs, Tails } from "../../adapter/addon/native.js";

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
class FakeRun implements NativeRun {
  readonly cancels: string[] = [];
  readonly request: Record<string, any>;
  private readonly end = deferred<string>();

  constructor(
    private readonly runs: FakeRuns,
    private readonly id: number,
    requestJson: string,
  ) {
    this.request = JSON.parse(requestJson) as Record<string, any>;
  }

  number(): number {
    return this.id;
  }

  /** One call of this run; settles as the shim answers it. */
  readonly sink = (kind: string, payload: string): Promise<void> => this.runs.call(this.id, kind, payload);

  cancel(reason: string): void {
    this.cancels.push(reason);
  }

  result(): Promise<string> {
    return this.end.promise;
  }

  finish(result: object): void {
    this.end.resolve(JSON.stringify(result));
  }

  answer(text: string): void {
    this.end.resolve(text);
  }
}

/** The runs of a fake addon. */
class FakeRuns implements Runs {
  private readonly calls: ReturnType<typeof deferred<void>>[] = [];

  constructor(
    private readonly all: FakeRun[],
    private readonly send: (batch: string) => void,
  ) {}

  call(run: number, kind: string, payload: string): Promise<void> {
    const call = this.calls.push(deferred<void>()) - 1;
    this.send(`${payload}\n${run} ${call} ${kind} ${payload.length}`);
    return this.calls[call]!.promise;
  }

  start(json: string): FakeRun {
    const run = new FakeRun(this, this.all.length, json);
    this.all.push(run);
    return run;
  }

  arrived(): void {}

  answered(calls: number[]): void {
    for (const call of calls) this.calls[call]?.resolve();
  }

  failed(call: number, message: string): void {
    this.calls[call]?.reject(new Error(message));
  }
}

/** One tail whose end the test decides. */
class FakeTail {
  stops = 0;
  private taken: (() => void)[] = [];
  private given = "";

  constructor(
    private readonly id: number,
    readonly path: string,
    readonly options: Record<string, unknown>,
    private readonly send: (batch: string) => void,
  ) {}

  /** One batch of one text; resolves when the shim says that it was taken. */
  sink(kind: "stdout" | "stderr", text: string): Promise<void> {
    return this.give(kind === "stdout" ? "o" : "n", text);
  }

  /** What was given out, as one part. */
  text(): string | null {
    const text = this.given;
    this.given = "";
    return text || null;
  }

  stop(): void {
    this.stops++;
    this.finish();
  }

  finish(): void {
    void this.give("e", "");
  }

  fail(message: string): void {
    void this.give("f", message);
  }

  wasTaken(): void {
    for (const resolve of this.taken.splice(0)) resolve();
  }

  private give(kind: string, text: string): Promise<void> {
    if (kind === "o") this.given += text;
    return new Promise((resolve) => {
      this.taken.push(resolve);
      this.send(`${text}\n${this.id} ${kind} ${text.length}`);
    });
  }
}

/** What the fake was asked for. */
interface FakeNative extends Native {
  readonly runs: FakeRun[];
  readonly tails: FakeTail[];
  readonly manifests: Record<string, any>[];
}

/** Makes a fake addon; single functions can be replaced. */
export function fakeNative(overrides: Partial<Native> = {}): FakeNative {
  const runs: FakeRun[] = [];
  const tails: FakeTail[] = [];
  const manifests: Record<string, any>[] = [];
  return {
    runs,
    tails,
    manifests,
    nativeVersion: () => "1.2.3",
    buildPodLogPath: (companyId, agentId, runId) => {
      for (const [field, value] of Object.entries({ companyId, agentId, runId })) {
        if (!/^[a-zA-Z0-9-]+$/.test(value)) throw new Error(`Invalid ${field} for log path: ${value}`);
      }
      return `/paperclip/instances/default/run-logs/${companyId}/${agentId}/${runId}.pod.ndjson`;
    },
    planSession: (json) => {
      const { runtime } = JSON.parse(json) as { runtime: { sessionId: string | null } };
      return JSON.stringify({ sessionId: runtime.sessionId, note: null, workingDir: "/paperclip" });
    },
    buildJobManifest: (json, prompt) => {
      manifests.push({ ...(JSON.parse(json) as Record<string, any>), prompt });
      return JSON.stringify({
        job: {},
        jobName: "job",
        namespace: "ns",
        opencodeArgs: [],
        podLogPath: "/p",
        warnings: ["careful"],
      });
    },
    sanitizeLabelValue: (value) =>
      JSON.stringify({ value: value.toLowerCase(), dropped: value !== value.toLowerCase() }),
    parseOpenCodeJsonl: () => "{}",
    isStepLimitResult: () => false,
    isUnknownSessionError: () => false,
    resolveOutcome: (json) => json,
    sessionDeserialize: (json) => json,
    sessionSerialize: (json) => json,
    sessionDisplayId: () => "shown",
    openTails: (sink): Tails => ({
      follow: (path, options) => {
        tails.push(new FakeTail(tails.length, path, JSON.parse(options) as Record<string, unknown>, sink));
        return tails.length - 1;
      },
      taken: (ids) => {
        for (const id of ids) tails[id]?.wasTaken();
      },
      arrived: () => {},
      text: (id) => tails[id]?.text() ?? null,
      stop: (id) => tails[id]?.stop(),
    }),
    openRuns: (sink) => new FakeRuns(runs, sink),
    probeEnvironment: async () => JSON.stringify({ checks: [] }),
    readPromptFiles: async () => JSON.stringify({ instructions: "", skills: [], warnings: [] }),
    listSkillFolders: async () => JSON.stringify({ folder: null, skills: [], others: [] }),
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
