import { getEventListeners } from "node:events";

import { describe, expect, it, vi } from "vitest";

import type { PromptFiles } from "../../index.js";
import { createExecute } from "../../adapter/run/execute.js";
import { withTranscript } from "../../adapter/ui/readable-log.js";
import { NativeUnavailableError } from "../../adapter/addon/native.js";
import { context, deferred, eventually, fakeNative } from "./fake-native.js";

const done = { exitCode: 0, signal: null, timedOut: false };

function start(ctx: ReturnType<typeof context>["ctx"], native = fakeNative()) {
  return { native, result: createExecute(() => native, withTranscript)(ctx) };
}

describe("a request that cannot be run", () => {
  const cases: [name: string, ctx: unknown, message: RegExp][] = [
    ["no context", undefined, /no execution context/],
    ["nothing for a context", null, /no execution context/],
    ["a text for a context", "ctx", /no execution context/],
    ["no agent", context({ agent: undefined }).ctx, /no agent/],
    ["no run id", context({ runId: undefined }).ctx, /runId/],
    ["a number for an agent id", context({ agent: { id: 5, companyId: "c" } }).ctx, /agent\.id/],
    ["an empty company id", context({ agent: { id: "a", companyId: "" } }).ctx, /agent\.companyId/],
    ["a hostile run id", context({ runId: "../../etc" }).ctx, /Invalid runId for log path: \.\.\/\.\.\/etc/],
    ["a list for a config", context({ config: [] }).ctx, /config is not an object/],
    ["no config", context({ config: null }).ctx, /config is not an object/],
    ["a text for a task context", context({ context: "x" }).ctx, /context is not an object/],
    ["a text for the runtime", context({ runtime: "x" }).ctx, /runtime is not an object/],
    ["no onLog", context({ onLog: undefined }).ctx, /onLog is missing/],
  ];
  it.each(cases)("%s is a result that says what to do, and nothing is started", async (name, ctx, message) => {
    const { native, result } = start(ctx as ReturnType<typeof context>["ctx"]);
    const answer = await result;
    const errorCode = name.startsWith("a hostile") ? "k8s_invalid_id" : "k8s_invalid_request";
    expect(answer).toMatchObject({ exitCode: null, signal: null, timedOut: false, errorCode });
    expect(answer.errorMessage).toMatch(message);
    expect(native.runs).toHaveLength(0);
  });

  it("a context that cannot be read is a result, not a throw", async () => {
    const { ctx } = context();
    const unreadable = {
      get: () => {
        throw new Error("no config here");
      },
      enumerable: true,
    };
    const answer = await start(Object.defineProperty(ctx, "config", unreadable)).result;
    expect(answer).toMatchObject({
      errorCode: "k8s_internal_error",
      errorMessage: expect.stringContaining("no config here"),
    });
  });

  it("a missing binary is a result, not a throw", async () => {
    const execute = createExecute(() => {
      throw new NativeUnavailableError("install the package");
    });
    const answer = await execute(context().ctx);
    expect(answer).toMatchObject({ errorCode: "k8s_native_unavailable", errorMessage: "install the package" });
  });

  it("an error of the native side keeps its code when that is one of ours", async () => {
    const fail = (code: string) =>
      fakeNative({
        startRun: () => {
          throw Object.assign(new Error("bad tolerations"), { code });
        },
      });
    expect(await start(context().ctx, fail("k8s_invalid_config")).result).toMatchObject({
      errorCode: "k8s_invalid_config",
      errorMessage: expect.stringContaining("bad tolerations"),
    });
    expect(await start(context().ctx, fail("GenericFailure")).result).toMatchObject({
      errorCode: "k8s_internal_error",
    });
  });

  it("a native answer without a result never counts as success", async () => {
    const { native, result } = start(context().ctx);
    await eventually(() => native.runs.length === 1);
    native.runs[0]?.finish({});
    expect(await result).toMatchObject({ exitCode: null, errorCode: "k8s_internal_error" });
  });
});

describe("a run", () => {
  it("hands request, prompt and environment to the native side and gives its result back", async () => {
    const { ctx } = context({ config: { model: "m/x", promptTemplate: "Hello {{agent.name}}" }, authToken: "secret" });
    const { native, result } = start(ctx);
    await eventually(() => native.runs.length === 1);
    const run = native.runs[0];
    expect(run?.request).toMatchObject({
      runId: "run-1",
      agent: { id: "agent-1", name: "Ada", companyId: "company-1" },
      runtime: { sessionId: null, sessionParams: null },
      config: { model: "m/x" },
      authToken: "secret",
      prompt: "Hello Ada",
      promptMetrics: { promptChars: 9, heartbeatPromptChars: 9 },
      baseEnv: { PAPERCLIP_AGENT_ID: "agent-1", PAPERCLIP_COMPANY_ID: "company-1" },
      environment: { hostname: expect.any(String) },
    });
    run?.finish({ ...done, summary: "ok", usage: { inputTokens: 1, outputTokens: 1 }, provider: "m" });
    expect(await result).toMatchObject({ ...done, summary: "ok", biller: expect.any(String) });
  });

  it.each([
    ["an object", { OPENROUTER_API_KEY: "k" }],
    ["a text", "OPENROUTER_API_KEY=k"],
  ])("names who bills a run by the agent's own variables, be they %s", async (_shape, env) => {
    const agentEnvironment = (): Record<string, string> => ({ OPENROUTER_API_KEY: "k" });
    const { native, result } = start(context({ config: { env } }).ctx, fakeNative({ agentEnvironment }));
    await eventually(() => native.runs.length === 1);
    native.runs[0]?.finish({ ...done, usage: { inputTokens: 1, outputTokens: 1 }, provider: "m" });
    expect(await result).toMatchObject({ biller: "openrouter" });
  });

  it("tells the host what happens, through whichever callbacks it has", async () => {
    const seen: [string, unknown][] = [];
    const note = (name: string) => async (value: unknown) => void seen.push([name, value]);
    const callbacks = { onMeta: note("meta"), onEvent: note("event"), onRuntimeProgress: note("progress") };
    const { ctx, log } = context({
      ...callbacks,
      onDispatch: () => void seen.push(["dispatch", null]),
      context: { a: 1 },
    });
    const { native, result } = start(ctx);
    await eventually(() => native.runs.length === 1);
    const sink = native.runs[0]?.sink;
    await sink?.("stdout", "one\ntwo\n");
    await sink?.("stderr", "bad\n");
    await sink?.("meta", JSON.stringify({ adapterType: "opencode_k8s", command: "kubectl job/x" }));
    await sink?.("event", JSON.stringify({ eventType: "job.created" }));
    await sink?.("progress", JSON.stringify({ phase: "adapter_startup", message: "waiting for a node" }));
    await sink?.("dispatch", "");
    await sink?.("from the future", "?");
    native.runs[0]?.finish(done);
    await result;
    expect(log).toEqual([
      ["stdout", "one\ntwo\n"],
      ["stderr", "bad\n"],
    ]);
    expect(seen.map(([name]) => name)).toEqual(["meta", "event", "progress", "dispatch"]);
    expect(seen[0]?.[1]).toMatchObject({ command: "kubectl job/x", prompt: expect.any(String), context: { a: 1 } });
    expect(seen[2]?.[1]).toMatchObject({ phase: "adapter_startup", message: "waiting for a node" });
  });

  it("survives callbacks that throw or reject, and reports each kind once", async () => {
    const reports: string[] = [];
    const onLog = (stream: string, chunk: string) => {
      if (stream === "stderr") reports.push(chunk);
      else throw new Error("disk full");
    };
    const { ctx } = context({ onLog, onMeta: () => Promise.reject(new Error("no meta")) });
    const { native, result } = start(ctx);
    await eventually(() => native.runs.length === 1);
    const sink = native.runs[0]?.sink;
    await sink?.("stdout", "1\n");
    await sink?.("stdout", "2\n");
    await sink?.("meta", "{}");
    await sink?.("event", "not json");
    native.runs[0]?.finish(done);
    expect(await result).toMatchObject(done);
    expect(reports).toHaveLength(2);
    expect(reports.join("")).toMatch(/disk full[\s\S]*no meta/);
  });

  it("hands over both prompts, and the host gets the one that the native side chose", async () => {
    const config = { bootstrapPromptTemplate: "BOOT", promptTemplate: "BEAT" };
    const shown: unknown[] = [];
    const { native, result } = start(context({ config, onMeta: async (meta: unknown) => void shown.push(meta) }).ctx);
    await eventually(() => native.runs.length === 1);
    expect(native.runs[0]?.request).toMatchObject({
      prompt: "BOOT\n\nBEAT",
      resumedPrompt: "BEAT",
      resumedPromptMetrics: { promptChars: 4 },
    });
    await native.runs[0]?.sink("meta", JSON.stringify({ resumesSession: true }));
    await native.runs[0]?.sink("meta", JSON.stringify({ resumesSession: false }));
    native.runs[0]?.finish(done);
    await result;
    expect(shown).toMatchObject([{ prompt: "BEAT" }, { prompt: "BOOT\n\nBEAT" }]);
    expect(shown[0]).not.toHaveProperty("resumesSession");
  });

  it("hands over one prompt where a resumed session needs no other", async () => {
    const { native, result } = start(context({ config: { promptTemplate: "BEAT" } }).ctx);
    await eventually(() => native.runs.length === 1);
    expect(native.runs[0]?.request).not.toHaveProperty("resumedPrompt");
    native.runs[0]?.finish(done);
    await result;
  });
});

describe("the setting transcript", () => {
  it("is compared as the addon compares a choice: without case", async () => {
    for (const transcript of ["text", " TEXT ", "Text"]) {
      const { ctx, text } = context({ config: { transcript } });
      const { native, result } = start(ctx);
      await eventually(() => native.runs.length === 1);
      await native.runs[0]?.sink("stdout", '{"type":"text","part":{"text":"hello"}}\n');
      native.runs[0]?.finish(done);
      expect(await result).toMatchObject({ exitCode: 0 });
      expect(text()).toBe("hello\n");
    }
  });
});

describe("MCP servers that the host cannot list", () => {
  const refuses = (): never => {
    throw new Error("no token");
  };
  it.each([
    ["it throws", { getServers: refuses }],
    ["it gives them later", { getServers: async () => [] }],
    ["it gives them in another form", [] as object],
  ])("are told in one line, and the run goes on without them: %s", async (_, runtimeMcp) => {
    const { ctx, log } = context({ runtimeMcp });
    const { native, result } = start(ctx);
    await eventually(() => native.runs.length === 1);
    expect(native.runs[0]?.request["mcpServers"]).toEqual([]);
    expect(log).toHaveLength(1);
    expect(log[0]).toEqual(["stderr", expect.stringMatching(/^\[paperclip\] Warning: MCP servers not known: /)]);
    native.runs[0]?.finish(done);
    await result;
  });
});

describe("a volume that hangs", () => {
  const config = { instructionsFilePath: "/paperclip/AGENTS.md" };

  it("leaves a sign of life every 15 s", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    try {
      const read = deferred<PromptFiles>();
      const { ctx, log } = context({ config });
      const { native, result } = start(ctx, fakeNative({ readPromptFiles: () => read.promise }));
      const alive = ["stdout", "[paperclip] keepalive — reading what goes into the prompt\n"];
      await vi.advanceTimersByTimeAsync(59_000);
      expect(log).toEqual(Array(3).fill(alive));
      read.resolve({ instructions: "BE KIND", skills: [], warnings: ["Warning: x"] });
      await vi.waitUntil(() => native.runs.length === 1);
      expect(native.runs[0]?.request["prompt"]).toMatch(/^BE KIND/);
      // One more: the addon's first comes after another 15 s.
      expect(log.slice(3)).toEqual([["stderr", "[paperclip] Warning: x\n"], alive]);
      expect(vi.getTimerCount()).toBe(0);
      native.runs[0]?.finish(done);
      await result;
    } finally {
      vi.useRealTimers();
    }
  });

  it("is a result with the addon's code, and nothing is started", async () => {
    const failure = { ...done, exitCode: null, errorCode: "k8s_shared_volume_missing", errorMessage: "did not answer" };
    const { ctx, text } = context({ config });
    const hung = fakeNative({ readPromptFiles: async () => ({ failure }) });
    const { native, result } = start(ctx, hung);
    expect(await result).toEqual(failure);
    expect(text()).toContain("did not answer");
    expect(native.runs).toHaveLength(0);
  });
});

describe("cancelling", () => {
  it("says it is ready before anything else, and creates nothing when the signal is already set", async () => {
    const order: string[] = [];
    const native = fakeNative();
    const onCancellationReady = vi.fn(async () => void order.push("ready"));
    const { result } = start(context({ onCancellationReady, signal: AbortSignal.abort() }).ctx, native);
    expect(await result).toMatchObject({
      errorCode: "cancelled",
      resultJson: { executionCancellation: { state: "acknowledged", acknowledgedAt: expect.any(String) } },
    });
    expect(order).toEqual(["ready"]);
    expect(native.runs).toHaveLength(0);
  });

  it("waits for no volume: a cancel while files are read is answered at once, and nothing is created", async () => {
    const controller = new AbortController();
    const read = deferred<PromptFiles>();
    const reading = vi.fn(() => read.promise);
    const config = { instructionsFilePath: "/paperclip/AGENTS.md" };
    const { ctx, log } = context({ config, signal: controller.signal });
    const { native, result } = start(ctx, fakeNative({ readPromptFiles: reading }));
    await eventually(() => reading.mock.calls.length === 1);
    controller.abort();
    expect(await result).toMatchObject({
      errorCode: "cancelled",
      resultJson: { executionCancellation: { state: "acknowledged" } },
    });
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    read.resolve({ instructions: "", skills: [], warnings: ["late"] });
    await Promise.resolve();
    expect(native.runs).toHaveLength(0);
    expect(log).toEqual([]);
  });

  it("passes the signal on once and leaves no listener behind", async () => {
    const controller = new AbortController();
    const { native, result } = start(context({ signal: controller.signal }).ctx);
    await eventually(() => native.runs.length === 1);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    controller.abort();
    await eventually(() => native.runs[0]?.cancels.length === 1);
    native.runs[0]?.finish({ exitCode: null, signal: null, timedOut: false, errorCode: "cancelled" });
    expect(await result).toMatchObject({ errorCode: "cancelled" });
    expect(native.runs).toHaveLength(1);
    expect(native.runs[0]?.cancels).toEqual(["signal"]);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });
});
