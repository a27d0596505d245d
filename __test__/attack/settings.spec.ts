/** What an agent makes of its own settings, which Paperclip lets it change by its API key. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { adapter } from "../boundary/package.js";
import { answer, isRealCluster, run, useStage } from "../run/stage.js";

describe.skipIf(isRealCluster)("a kubeconfig that an agent has written", () => {
  const stage = useStage({ mapping: "mount" });

  test.each([
    ["names it", {}],
    ["names it, and another data root", { dataRoot: "/tmp" }],
  ])("starts no program of the server's and sends no file of it where its setting %s", async (_how, more) => {
    const trace = join(stage.dataRoot, "..", "trace");
    const kubeconfig = join(stage.dataRoot, "kubeconfig");
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: "touch", args: [trace] };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: "http://127.0.0.1:9" } }],
      users: [{ name: "u", user: { exec: { ...exec, interactiveMode: "Never" } } }],
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    const settings = { kubeconfig, ...more };
    const tested = { companyId: "company-1", adapterType: "opencode_k8s", config: settings };
    const { checks } = await adapter.createServerAdapter().testEnvironment(tested);
    expect(checks[0]!.message).toContain("Kubeconfig not usable: it lies on the shared volume");
    const { result } = await run(answer("never"), { config: settings });
    expect(result).toMatchObject({ exitCode: null, errorCode: "k8s_self_pod_failed" });
    expect(result.errorMessage).toContain("Kubeconfig not usable: it lies on the shared volume");
    expect(existsSync(trace)).toBe(false);
  });
});
