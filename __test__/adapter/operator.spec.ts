/** Settings that the operator decides for all agents, whatever an agent has made of its own. */
import { afterEach, describe, expect, it, vi } from "vitest";

import { createExecute } from "../../adapter/run/execute.js";
import { withOperatorSettings } from "../../adapter/settings/operator.js";
import { createListSkills } from "../../adapter/settings/skills.js";
import { createOnHireApproved, createTestEnvironment } from "../../adapter/settings/test-environment.js";
import { context, fakeNative } from "./fake-native.js";

const VARIABLE = "PAPERCLIP_K8S_SETTINGS";
const SETTINGS = { kubeconfig: null, inheritEnv: null, volumeAccess: "own" };
const AGENTS = { kubeconfig: "/tmp/mine", volumeAccess: "shared", model: "a/b", inheritEnv: "" };

afterEach(() => void vi.unstubAllEnvs());

describe("the operator's settings", () => {
  it("take the place of the agent's, and what differs is said", () => {
    const { config, warnings } = withOperatorSettings(AGENTS, JSON.stringify(SETTINGS));
    expect(config).toEqual({ model: "a/b", volumeAccess: "own" });
    const said = (name: string) => `Warning: ${name} of this agent is not used: ${VARIABLE} of the server decides it`;
    expect(warnings).toEqual([said("kubeconfig"), said("volumeAccess")]);
    expect(withOperatorSettings({ volumeAccess: "own" }, JSON.stringify(SETTINGS)).warnings).toEqual([]);
  });

  it("are none where the variable is not set, and then nothing is touched", () => {
    for (const text of ["", " ", "{}"]) {
      vi.stubEnv(VARIABLE, text);
      expect(withOperatorSettings(AGENTS).config).toBe(AGENTS);
    }
  });

  it.each(["{", "[]", "null", "own", '"own"'])("that cannot be read let nothing start: %s", async (text) => {
    vi.stubEnv(VARIABLE, text);
    const native = fakeNative();
    const result = await createExecute(() => native)(context().ctx);
    expect(result).toMatchObject({ exitCode: null, errorCode: "k8s_config_invalid" });
    expect(result.errorMessage).toMatch(/^Server's settings unreadable: PAPERCLIP_K8S_SETTINGS is no JSON object/);
    expect(native.runs).toHaveLength(0);
    const tested = await createTestEnvironment(() => native)({ companyId: "c", adapterType: "x", config: {} });
    expect(tested.status).toBe("fail");
  });

  it("hold in a run, in the environment test, at a hire and for skills", async () => {
    vi.stubEnv(VARIABLE, JSON.stringify({ ...SETTINGS, dataRoot: "/srv" }));
    const seen: unknown[] = [];
    const native = fakeNative({
      probeEnvironment: async (request) => {
        seen.push(request.config);
        return { checks: [] };
      },
      listSkillFolders: async (request) => {
        seen.push({ dataRoot: request.dataRoot });
        return { folder: null, skills: [], others: [] };
      },
    });
    const { ctx, log } = context({ config: AGENTS });
    const running = createExecute(() => native)(ctx);
    await vi.waitFor(() => expect(native.runs).toHaveLength(1));
    native.runs[0]!.finish({ exitCode: 0, signal: null, timedOut: false });
    await running;
    expect(native.runs[0]!.request["config"]).toEqual({ model: "a/b", volumeAccess: "own", dataRoot: "/srv" });
    expect(JSON.stringify(log)).toContain("kubeconfig of this agent is not used");
    const { checks, status } = await createTestEnvironment(() => native)({
      companyId: "c",
      adapterType: "x",
      config: AGENTS,
    });
    expect([status, checks[0]?.code]).toEqual(["warn", "k8s_setting_not_used"]);
    await createOnHireApproved(() => native)({} as never, AGENTS);
    await createListSkills(() => native)({ config: AGENTS } as never);
    expect(JSON.stringify(seen)).not.toMatch(/mine|shared/);
    expect(seen).toContainEqual({ dataRoot: "/srv" });
  });
});
