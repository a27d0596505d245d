/** Bad input is a result that says what to do, and creates nothing. */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { adapter } from "../boundary/package.js";
import { answer, filesLeft, isRealCluster, run, useStage } from "./stage.js";

const stage = useStage();

const agent = { id: "agent-1", companyId: "company-1", name: "Ada", adapterType: null, adapterConfig: null };

/** A kubeconfig that gets its token from a program. */
function kubeconfigWithPlugin(command: string, args: string[] = []): string {
  const path = join(mkdtempSync(join(tmpdir(), "kubeconfig-")), "config");
  const exec = { apiVersion: "client.authentication.k8s.io/v1", command, args, interactiveMode: "Never" };
  const named = (name: string, key: string, value: object): object[] => [{ name, [key]: value }];
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: named("c", "cluster", { server: "https://127.0.0.1:9" }),
    users: named("u", "user", { exec }),
    contexts: named("x", "context", { cluster: "c", user: "u", namespace: "paperclip" }),
    "current-context": "x",
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

const cases: [what: string, overrides: Record<string, unknown>, code: string, says: RegExp][] = [
  ["a run id that climbs", { runId: "../../etc/passwd" }, "k8s_invalid_id", /runId/],
  ["an agent id with a slash", { agent: { ...agent, id: "a/b" } }, "k8s_invalid_id", /agentId/],
  ["a company id with a newline", { agent: { ...agent, companyId: "c\n" } }, "k8s_invalid_id", /companyId/],
  ["no run id", { runId: undefined }, "k8s_invalid_request", /runId/],
  ["no agent", { agent: undefined }, "k8s_invalid_request", /agent/],
  ["a configuration that is no object", { config: "yes" }, "k8s_invalid_request", /config/],
  ["tolerations that are no list", { config: { tolerations: "{{{" } }, "k8s_config_invalid", /tolerations/],
  ["a number that is none", { config: { scheduleTimeoutSec: "soon" } }, "k8s_config_invalid", /scheduleTimeoutSec/],
  [
    "a kubeconfig that does not exist",
    { config: { kubeconfig: "/does/not/exist" } },
    "k8s_self_pod_failed",
    /kubeconfig/,
  ],
  [
    "a kubeconfig whose credential plugin is missing",
    { config: { kubeconfig: kubeconfigWithPlugin("/does/not/exist") } },
    "k8s_self_pod_failed",
    /^Kubeconfig not usable: .*does\/not\/exist/,
  ],
  [
    "a kubeconfig whose credential plugin fails",
    { config: { kubeconfig: kubeconfigWithPlugin("false") } },
    "k8s_self_pod_failed",
    /^Kubeconfig not usable: .*(false|exit)/,
  ],
  ["a kubeconfig that never ends", { config: { kubeconfig: "/dev/zero" } }, "k8s_self_pod_failed", /no regular file/],
  ["a run id that is too long for a file name", { runId: "r".repeat(300) }, "k8s_invalid_id", /runId has 300/],
  ["a prompt of blanks", { config: { promptTemplate: "{{context.none}} " } }, "k8s_invalid_request", /prompt is empty/],
  ["an env value with a NUL", { config: { env: { A: "a\0b" } } }, "k8s_config_invalid", /env\.A holds a NUL/],
  [
    "an env value that no program can start with",
    { config: { env: { BIG: "x".repeat(200_000) } } },
    "k8s_config_invalid",
    /env\.BIG has 200000 bytes/,
  ],
  ["an env that is a list", { config: { env: ["A=b"] } }, "k8s_config_invalid", /env must be an object/],
  [
    "a prompt that no Secret can hold",
    { config: { promptTemplate: "x".repeat(1_100_000) } },
    "k8s_prompt_too_large",
    /Secret/,
  ],
];

describe.each(cases)("%s", (_what, overrides, code, says) => {
  test("is refused, and nothing is created", async () => {
    const before = filesLeft(stage);
    if (!isRealCluster) await stage.local.resetRequests();
    const result =
      typeof overrides["config"] === "object" || !("config" in overrides)
        ? (await run(answer("never"), overrides)).result
        : await adapter.createServerAdapter().execute({
            runId: "r-1",
            agent,
            runtime: {},
            context: {},
            onLog: async () => {},
            ...overrides,
          } as never);
    expect(result.errorCode).toBe(code);
    expect(result.errorMessage).toMatch(says);
    expect(result.exitCode).toBeNull();
    expect(filesLeft(stage)).toEqual(before);
    if (isRealCluster) return;
    // The first run of a namespace makes the key of its seals; no Secret of a run is made.
    const created = Object.keys(await stage.local.requests()).filter((request) => request.startsWith("create "));
    expect(created.filter((request) => request !== "create secrets")).toEqual([]);
    const secrets = await stage.local.objects("secrets");
    expect(secrets.filter(({ metadata }) => metadata.name.startsWith("agent-"))).toEqual([]);
  });
});

test("an environment without a cluster is refused with what to set", async () => {
  const { KUBECONFIG, KUBERNETES_SERVICE_HOST } = process.env;
  delete process.env["KUBECONFIG"];
  delete process.env["KUBERNETES_SERVICE_HOST"];
  try {
    const { result } = await run(answer("never"));
    expect(result.errorCode).toBe("k8s_self_pod_failed");
    expect(result.errorMessage).toMatch(/KUBECONFIG/);
  } finally {
    if (KUBECONFIG !== undefined) process.env["KUBECONFIG"] = KUBECONFIG;
    if (KUBERNETES_SERVICE_HOST !== undefined) process.env["KUBERNETES_SERVICE_HOST"] = KUBERNETES_SERVICE_HOST;
  }
});

test("a cancel is noticed while a credential plugin hangs", async () => {
  const cancel = new AbortController();
  const pid = join(mkdtempSync(join(tmpdir(), "plugin-")), "pid");
  // It hangs for longer than the test may take.
  const config = { kubeconfig: kubeconfigWithPlugin("sh", ["-c", `echo $$ >${pid}; exec sleep 3600`]) };
  const running = run(answer("never"), { config, signal: cancel.signal, onCancellationReady: async () => {} });
  await expect.poll(() => existsSync(pid) && readFileSync(pid, "utf8").endsWith("\n")).toBe(true);
  cancel.abort();
  expect((await running).result).toMatchObject({
    errorCode: "cancelled",
    resultJson: { executionCancellation: { state: "acknowledged" } },
  });
  try {
    process.kill(Number(readFileSync(pid, "utf8")));
  } catch {
    // It was ended with the run.
  }
});

test("a proxy of the environment is not the API server's", async () => {
  const proxies = {
    HTTPS_PROXY: "http://127.0.0.1:1",
    HTTP_PROXY: "http://127.0.0.1:1",
    https_proxy: "http://127.0.0.1:1",
    http_proxy: "http://127.0.0.1:1",
  };
  const before = { ...process.env };
  Object.assign(process.env, proxies);
  try {
    expect((await run(answer("directly"))).result).toMatchObject({ exitCode: 0, summary: "directly" });
  } finally {
    for (const name of Object.keys(proxies)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});
