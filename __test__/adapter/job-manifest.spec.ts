import { describe, expect, it } from "vitest";

import {
  createBuildJobManifest,
  createSanitizeLabelValue,
  type JobBuildInput,
  LARGE_PROMPT_THRESHOLD_BYTES,
} from "../../adapter/run/job-manifest.js";
import { context, fakeNative } from "./fake-native.js";

const selfPod: JobBuildInput["selfPod"] = {
  namespace: "ns",
  image: "img",
  imagePullSecrets: [],
  pvcClaimName: "data",
  secretVolumes: [],
  inheritedEnv: {},
  inheritedEnvValueFrom: [],
};

describe("buildJobManifest", () => {
  it("is synchronous, passes its inputs on and keeps the native side's warnings out of the result", async () => {
    const native = fakeNative();
    const { ctx, log } = context();
    const result = createBuildJobManifest(() => native)({
      ctx,
      selfPod,
      promptSecretName: "s",
      agentDbClaimName: "c",
      agentDbPath: "/paperclip/db",
      retainJobs: true,
      nonce: "n",
    });
    expect(Object.keys(result).sort()).toEqual([
      "job",
      "jobName",
      "namespace",
      "opencodeArgs",
      "podLogPath",
      "prompt",
      "promptMetrics",
    ]);
    expect(native.manifests[0]).toMatchObject({
      selfPod,
      promptSecretName: "s",
      agentDbClaimName: "c",
      agentDbPath: "/paperclip/db",
      retainJobs: true,
      nonce: "n",
      runId: "run-1",
    });
    expect(log).toEqual([["stderr", "[paperclip] careful\n"]]);
  });

  it("tells a volume of the pod (null) from no volume at all", () => {
    const native = fakeNative();
    const build = createBuildJobManifest(() => native);
    build({ ctx: context().ctx, selfPod, agentDbClaimName: null });
    build({ ctx: context().ctx, selfPod });
    expect(native.manifests.map((request) => request["agentDbClaimName"])).toEqual([null, undefined]);
  });

  it("hands the prompt over once, beside the request, as the text that the agent will read", () => {
    const seen: [request: string, prompt: string][] = [];
    const native = fakeNative();
    const { buildJobManifest } = native;
    native.buildJobManifest = (request, prompt) => {
      seen.push([request, prompt]);
      return buildJobManifest(request, prompt);
    };
    const { prompt } = createBuildJobManifest(() => native)({
      ctx: context().ctx,
      selfPod,
      instructionsContent: "ONCE \ud83d",
    });
    expect(prompt).toMatch(/^ONCE \ufffd/);
    expect(seen.map(([request, sent]) => [request.includes("ONCE"), sent])).toEqual([[false, prompt]]);
  });

  it("does without onLog, and with one that throws or rejects", async () => {
    const build = createBuildJobManifest(() => fakeNative());
    const broken = () => {
      throw new Error("no");
    };
    for (const onLog of [undefined, broken, () => Promise.reject(new Error("no"))]) {
      expect(build({ ctx: context({ onLog }).ctx, selfPod }).jobName).toBe("job");
    }
    await new Promise((resolve) => setImmediate(resolve));
  });
});

describe("the prompt", () => {
  const build = (parts: Record<string, unknown>, rest: Partial<JobBuildInput> = {}, native = fakeNative()) =>
    createBuildJobManifest(() => native)({ ctx: context(parts).ctx, selfPod, ...rest });
  const resumed = { runtime: { sessionId: "ses_1", sessionParams: null } };
  const config = { bootstrapPromptTemplate: "BOOT {{run.id}}", promptTemplate: "BEAT {{agentId}}" };
  const wake = { reason: "issue_assigned", issue: { id: "i", identifier: "X-1", title: "Do it" }, comments: [] };

  it("has its sections in the order of the contract, with a metric each", () => {
    const { prompt, promptMetrics } = build(
      {
        config,
        context: { paperclipWake: wake, paperclipTaskMarkdown: " TASK ", paperclipSessionHandoffMarkdown: "HANDOFF" },
      },
      { instructionsContent: " INSTRUCTIONS\n", skillsBundleContent: "SKILLS" },
    );
    const order = ["INSTRUCTIONS", "SKILLS", "BOOT run-1", "Do it", "TASK", "HANDOFF", "BEAT agent-1"];
    const places = order.map((section) => prompt.indexOf(section));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBe(0);
    expect(promptMetrics).toMatchObject({
      promptChars: prompt.length,
      instructionsChars: 12,
      skillsBundleChars: 6,
      bootstrapPromptChars: 10,
      taskMarkdownChars: 4,
      sessionHandoffChars: 7,
      heartbeatPromptChars: 12,
    });
  });

  it("says who the agent is when nothing is configured", () => {
    const { prompt, promptMetrics } = build({});
    expect(prompt).toBe("You are agent agent-1 (Ada). Continue your Paperclip work.");
    expect(Object.keys(promptMetrics)).not.toContain("taskMarkdownChars");
  });

  it("of a resumed session has no bootstrap, and no heartbeat beside a wake", () => {
    expect(build({ config, ...resumed }).prompt).toBe("BEAT agent-1");
    const { prompt } = build({ config, ...resumed, context: { paperclipWake: wake, paperclipTaskMarkdown: "TASK" } });
    expect(prompt).not.toMatch(/BOOT|BEAT/);
    expect(prompt).toContain("TASK");
  });

  it("follows the native side's resume decision, not the stored session", () => {
    const fresh = fakeNative({ planSession: () => JSON.stringify({ sessionId: null, note: null }) });
    expect(build({ config, ...resumed, context: { paperclipWake: wake } }, {}, fresh).prompt).toMatch(
      /^BOOT run-1[\s\S]*BEAT/,
    );
  });
});

describe("labels and limits", () => {
  it("warns about dropped characters only", () => {
    const sanitize = createSanitizeLabelValue(() => fakeNative());
    const warnings: string[] = [];
    expect(sanitize("abc", (message) => warnings.push(message))).toBe("abc");
    expect(sanitize("ABC", (message) => warnings.push(message))).toBe("abc");
    expect(sanitize("ABC")).toBe("abc");
    expect(warnings).toEqual(['[paperclip] sanitizeLabelValue: dropped chars from "ABC" -> "abc"\n']);
  });

  it("knows the size from which prompts travel in a Secret", () => {
    expect(LARGE_PROMPT_THRESHOLD_BYTES).toBe(102_400);
  });
});
