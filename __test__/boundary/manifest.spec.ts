import { describe, expect, it } from "vitest";

import type { JobBuildInput } from "../../adapter/index.js";
import { adapter, selfPod } from "./package.js";

const ids = {
  companyId: "a099bf4f-ac9d-42f8-8926-3ddbaf9bf739",
  agentId: "ae18aefd-9ff8-4d08-85b8-cf8d6ab84300",
  runId: "f9ed0256-01c5-467f-8bb5-522e53a50ae8",
};

describe("buildPodLogPath", () => {
  it("is the path as the pod sees it", () => {
    expect(adapter.buildPodLogPath("c-1", "A-2", "r3")).toBe(
      "/paperclip/instances/default/run-logs/c-1/A-2/r3.pod.ndjson",
    );
  });

  it.each([
    ["", "a", "r", "Invalid companyId for log path: "],
    ["c", "a/b", "r", "Invalid agentId for log path: a/b"],
    ["c", "a", "..", "Invalid runId for log path: .."],
    ["c_", "a_", "r_", "Invalid companyId for log path: c_"],
    ["c", "a", "r\n", "Invalid runId for log path: r\n"],
    ["c", undefined, "r", "Invalid agentId for log path: (undefined)"],
    ["c_", null, "r", "Invalid companyId for log path: c_"],
  ])("refuses %j %j %j", (companyId, agentId, runId, message) => {
    expect(() => adapter.buildPodLogPath(companyId!, agentId!, runId!)).toThrow(message);
  });
});

function build(
  config: Record<string, unknown> = {},
  rest: Partial<JobBuildInput> = {},
  context: Record<string, unknown> = {},
  authToken?: string,
) {
  const log: string[] = [];
  const ctx = {
    runId: ids.runId,
    agent: { id: ids.agentId, name: "a", companyId: ids.companyId, adapterType: null, adapterConfig: null },
    runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
    config,
    context,
    authToken,
    onLog: async (_stream: string, chunk: string) => void log.push(chunk),
  } as unknown as JobBuildInput["ctx"];
  const result = adapter.buildJobManifest({ ctx, selfPod, ...rest });
  const container = result.job.spec["template"].spec.containers[0] as { env: { name: string; value?: string }[] };
  const env = new Map(container.env.map(({ name, value }) => [name, value]));
  return { ...result, container, env, log };
}

describe("buildJobManifest", () => {
  it("names and labels the Job as its predecessor did", () => {
    const { job, jobName, namespace, opencodeArgs, podLogPath, prompt } = build({ model: "bare", variant: "high" });
    expect(jobName).toBe("agent-opencode-ae18aefd-9ff8-4d-f9ed0256-01c5-46-9dcd6c");
    expect(namespace).toBe("paperclip");
    expect(job).toMatchObject({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: {
        name: jobName,
        namespace,
        labels: {
          "paperclip.io/agent-id": ids.agentId,
          "paperclip.io/run-id": ids.runId,
          "paperclip.io/company-id": ids.companyId,
          "paperclip.io/adapter-type": "opencode_k8s",
        },
      },
      spec: { backoffLimit: 0, ttlSecondsAfterFinished: 300 },
    });
    expect(opencodeArgs).toEqual(["run", "--format", "json", "--model", "bare", "--variant", "high"]);
    expect(podLogPath).toBe(adapter.buildPodLogPath(ids.companyId, ids.agentId, ids.runId));
    expect(prompt).toBe(`You are agent ${ids.agentId} (a). Continue your Paperclip work.`);
  });

  it("has no time to live when Jobs are kept", () => {
    expect(build({}, { retainJobs: true }).job.spec).not.toHaveProperty("ttlSecondsAfterFinished");
  });

  it("protects what it generates from the kubelet's expansion, and leaves the user's env alone", () => {
    const wake = { reason: "issue_assigned", issue: { id: "i", title: "costs $5 and $(PAPERCLIP_API_KEY)" } };
    const { env } = build({ env: { MINE: "$(HOME)" } }, {}, { wakeReason: "$(HOME) $$", paperclipWake: wake });
    expect(env.get("MINE")).toBe("$(HOME)");
    expect(env.get("PAPERCLIP_WAKE_REASON")).toBe("$$(HOME) $$$$");
    expect(env.get("PAPERCLIP_WAKE_PAYLOAD_JSON")).not.toMatch(/(?<!\$)(?:\$\$)*\$\(/);
  });

  it.each([
    ["an object", { PAPERCLIP_API_KEY: "another", A: "1" }],
    ["lines", "A=1\nPAPERCLIP_API_KEY=another"],
    ["YAML", 'A: 1\n"PAPERCLIP_API_KEY": another'],
    ["JSON text", '{"PAPERCLIP_API_KEY": "another", "A": "1"}'],
  ])("lets no env of the agent set what the host sets itself, be it %s", (_shape, env) => {
    const made = build({ env }, {}, {}, "token");
    expect(made.env.get("A")).toBe("1");
    expect(made.env.get("PAPERCLIP_API_KEY")).toBe("token");
    expect(made.log.join("")).toContain("PAPERCLIP_API_KEY");
  });

  it.each(["a", "é", "日", "🚀"])("counts a long prompt of %s in bytes, whatever it is made of", (filler) => {
    for (const count of [5_461, 5_462, 40_000]) {
      const promptTemplate = `${filler.repeat(count)}\ud83d${filler.repeat(count)}\ud83d`;
      const { container, prompt } = build({ promptTemplate });
      expect(prompt).toBe(promptTemplate.toWellFormed());
      const { command = [], args = [] } = container as { command?: string[]; args?: string[] };
      expect([...command, ...args]).toContain(String(Buffer.byteLength(prompt)));
    }
  });

  it("survives a context that is no tree", () => {
    const context: Record<string, unknown> = { when: new Date(0), big: 1n, call: () => 1 };
    context["self"] = context;
    expect(build({}, {}, context).jobName).toMatch(/^agent-opencode-/);
  });

  it("refuses what cannot make a valid Job", () => {
    expect(() => build({ tolerations: "{ not: [valid" })).toThrow(/toleration/i);
    const ctx = { runId: "a/b", agent: { id: "a", companyId: "c", name: "" }, config: {}, context: {}, runtime: {} };
    const hostile = { ctx: ctx as never };
    expect(() => build({}, hostile)).toThrow(expect.objectContaining({ code: "k8s_invalid_id" }));
  });
});

it("sanitizeLabelValue gives values that Kubernetes takes", () => {
  const warnings: string[] = [];
  expect(adapter.sanitizeLabelValue("OK_1")).toBe("ok_1");
  expect(adapter.sanitizeLabelValue("_Core Infra!.", (message) => warnings.push(message))).toBe("coreinfra");
  expect(warnings).toHaveLength(1);
});

describe("transcripts", () => {
  const line = (value: object) => `${JSON.stringify(value)}\n`;
  const stdout =
    line({ type: "step_start", sessionID: "ses_1", part: {} }) +
    line({ type: "text", sessionID: "ses_1", part: { messageID: "m", text: "Done." } }) +
    line({
      type: "step_finish",
      sessionID: "ses_1",
      part: {
        messageID: "m",
        reason: "stop",
        cost: 0.5,
        tokens: { input: 3, output: 2, reasoning: 1, cache: { read: 4, write: 0 } },
      },
    });

  it("fold", () => {
    expect(adapter.parseOpenCodeJsonl(stdout)).toMatchObject({
      sessionId: "ses_1",
      summary: "Done.",
      usage: { inputTokens: 3, outputTokens: 3, cachedInputTokens: 4 },
      costUsd: 0.5,
      errorMessage: null,
    });
    expect(adapter.isOpenCodeStepLimitResult(stdout)).toBe(false);
  });

  it("are judged", () => {
    const proven = { stdout, stderr: "", exitCode: 0, logState: "proven" } as const;
    expect(adapter.resolveOutcome(proven)).toMatchObject({
      exitCode: 0,
      timedOut: false,
      summary: "Done.",
      sessionId: "ses_1",
    });
    expect(
      adapter.resolveOutcome({ ...proven, exitCode: null, logState: "unproven", stdout: "" }).errorMessage,
    ).toBeTruthy();
  });

  it("of a dead session clear it", () => {
    const stderr = "\u001b[91m\u001b[1mError: \u001b[0mSession not found\n";
    expect(adapter.isOpenCodeUnknownSessionError("", stderr)).toBe(true);
    const facts = { stdout: "", stderr, exitCode: 1, logState: "proven" as const };
    expect(adapter.resolveOutcome({ ...facts, session: "ses_1" })).toMatchObject({
      errorCode: "session_unavailable",
      clearSession: true,
    });
  });
});
