import { afterEach, describe, expect, it, vi } from "vitest";

import { createExecute } from "../../adapter/run/execute.js";
import { withPodPaths } from "../../adapter/run/pod-paths.js";
import { context, eventually, fakeNative } from "./fake-native.js";

afterEach(() => vi.unstubAllEnvs());

const workspace = {
  cwd: "/mnt/data/instances/default/workspaces/a",
  agentHome: "/mnt/data",
  worktreePath: "/mnt/database/w",
  repoUrl: "https://git.example/mnt/data",
  realization: { sync: [{ path: "/mnt/data/x" }], at: null, times: 3 },
};

describe("paths of the server's own view of the shared volume", () => {
  it("become the pod's, wherever the host put them, and others stay", () => {
    const request = {
      config: { dataRoot: "/mnt/data/", cwd: "/mnt/data/w" },
      context: { paperclipWorkspace: workspace, paperclipWorkspaces: [workspace], note: "/mnt/data" },
    };
    const expected = {
      ...workspace,
      cwd: "/paperclip/instances/default/workspaces/a",
      agentHome: "/paperclip",
      realization: { ...workspace.realization, sync: [{ path: "/paperclip/x" }] },
    };
    expect(withPodPaths(request)).toEqual({
      config: { dataRoot: "/mnt/data/", cwd: "/paperclip/w" },
      context: { paperclipWorkspace: expected, paperclipWorkspaces: [expected], note: "/mnt/data" },
    });
  });

  it("stay as they are where the server sees the volume as pods do", () => {
    const request = { config: {}, context: { paperclipWorkspace: workspace } };
    expect(withPodPaths(request)).toBe(request);
  });

  it("may refer to each other and to themselves", () => {
    const cyclic: Record<string, unknown> = { ...workspace, list: [] };
    cyclic["self"] = cyclic;
    (cyclic["list"] as unknown[]).push(cyclic);
    let deep: unknown = "/mnt/data/x";
    for (let level = 0; level < 50_000; level++) deep = { deep };
    const request = { config: { dataRoot: "/mnt/data" }, context: { paperclipWorkspace: { ...cyclic, deep } } };
    const { paperclipWorkspace: made } = withPodPaths(request).context as { paperclipWorkspace: typeof cyclic };
    const self = made["self"] as typeof cyclic;
    expect(self["self"]).toBe(self);
    expect(self["list"]).toEqual([self]);
    expect(made["cwd"]).toBe("/paperclip/instances/default/workspaces/a");
  });

  it("a run works in the pod's folder, and so does its session", async () => {
    vi.stubEnv("PAPERCLIP_K8S_DATA_ROOT", "/mnt/data");
    const native = fakeNative();
    const { ctx } = context({ context: { paperclipWorkspace: workspace } });
    const result = createExecute(() => native)(ctx);
    await eventually(() => native.runs.length === 1);
    native.runs[0]?.finish({ exitCode: 0, signal: null, timedOut: false });
    await result;
    expect(native.runs).toHaveLength(1);
    expect(native.runs[0]?.request).toMatchObject({
      context: { paperclipWorkspace: { cwd: "/paperclip/instances/default/workspaces/a" } },
    });
  });
});
