import { describe, expect, it } from "vitest";

import {
  createBuildJobManifest,
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
      ctx: { runId: "run-1" },
    });
    expect(log).toEqual([["stderr", "[paperclip] careful\n"]]);
  });

  it("tells a volume of the pod (null) from no volume at all", () => {
    const native = fakeNative();
    const build = createBuildJobManifest(() => native);
    build({ ctx: context().ctx, selfPod, agentDbClaimName: null });
    build({ ctx: context().ctx, selfPod });
    expect(native.manifests.map((input) => input.agentDbClaimName)).toEqual([null, undefined]);
  });

  it("refuses by name what is no input", () => {
    const build = createBuildJobManifest(() => fakeNative());
    for (const [input, name] of [
      [undefined, "input"],
      [{ selfPod }, "input.ctx"],
      [{ selfPod, ctx: { ...context().ctx, agent: null } }, "input.ctx.agent"],
    ]) {
      expect(() => build(input as never)).toThrow(new TypeError(`${name as string} must be an object`));
    }
    for (const name of ["instructionsContent", "skillsBundleContent"]) {
      const refusal = new TypeError(`input.${name} must be a text`);
      expect(() => build({ selfPod, ctx: context().ctx, [name]: 5 })).toThrow(refusal);
      expect(build({ selfPod, ctx: context().ctx, [name]: null }).jobName).toBe("job");
    }
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

  it.each([undefined, "", "  \n"])("says who the agent is when nothing is configured (%j)", (promptTemplate) => {
    const { prompt, promptMetrics } = build({ config: { promptTemplate } });
    expect(prompt).toBe("You are agent agent-1 (Ada). Continue your Paperclip work.");
    expect(Object.keys(promptMetrics)).not.toContain("taskMarkdownChars");
  });

  it("of a resumed session has no bootstrap, and no heartbeat beside a wake", () => {
    expect(build({ config, ...resumed }).prompt).toBe("BEAT agent-1");
    const { prompt } = build({ config, ...resumed, context: { paperclipWake: wake, paperclipTaskMarkdown: "TASK" } });
    expect(prompt).not.toMatch(/BOOT|BEAT/);
    expect(prompt).toContain("TASK");
  });

  it("is rendered for a fresh and for a resumed session: the native side decides", () => {
    const native = fakeNative();
    build({ config, ...resumed, context: { paperclipWake: wake } }, {}, native);
    expect(native.manifests[0]?.prompt).toMatch(/^BOOT run-1[\s\S]*BEAT/);
    expect(native.manifests[0]?.resumedPrompt).not.toMatch(/BOOT|BEAT/);
  });
});

describe("limits", () => {
  it("knows the size from which prompts travel in a Secret", () => {
    expect(LARGE_PROMPT_THRESHOLD_BYTES).toBe(102_400);
  });
});
