/** The environment test through the public adapter: what it finds, what it says to do, and that it always ends soon. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { AdapterEnvironmentCheck } from "@paperclipai/adapter-utils";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { adapter } from "../boundary/package.js";
import { filesLeft, isRealCluster, useStage } from "./stage.js";

const stage = useStage();
const apiUrl = "http://paperclip.paperclip.svc:3100";
afterEach(async () => void (isRealCluster || (await stage.local.clearFaults())));

async function probe(config: object = {}) {
  const result = await adapter.testEnvironment({
    companyId: "company-1",
    adapterType: "opencode_k8s",
    config: config as Record<string, unknown>,
  });
  const byCode = new Map(result.checks.map((check) => [check.code, check]));
  return { ...result, level: (code: string) => byCode.get(code)?.level, of: (code: string) => byCode.get(code)! };
}

const rights = [
  "job_create",
  "job_delete",
  "job_get",
  "job_list",
  "job_watch",
  "pod_get",
  "pod_list",
  "pod_watch",
  "pod_create",
  "event_list",
  "quota_list",
  "configmap_get",
  "secret_create",
  "secret_delete",
  "secret_get",
  "secret_patch",
  "pvc_get",
  "pvc_create",
  "pvc_delete",
];

function expectAdvice(checks: AdapterEnvironmentCheck[]): void {
  for (const { code, level, message, hint } of checks) {
    expect(code).toMatch(/^k8s_[a-z_]+$/);
    expect(message).toBeTruthy();
    if (level !== "info") expect([code, hint]).toEqual([code, expect.stringMatching(/\w{3}/)]);
    expect([code, message]).toEqual([code, expect.stringMatching(/^\S.*[.!?]$/s)]);
    // What an operator can do is a command; a bad value is mended on the page.
    if (level === "error" && code !== "k8s_config_invalid")
      expect(hint).toMatch(/: kubectl -n \S+ |: kubectl create namespace \S+ /);
  }
}

test("an environment in order has every check, and nothing is left behind", async () => {
  const { status, checks, adapterType, testedAt, level } = await probe({ env: { PAPERCLIP_API_URL: apiUrl } });
  expect(adapterType).toBe("opencode_k8s");
  expect(Date.parse(testedAt)).toBeGreaterThan(0);
  const expected = [
    "k8s_api_reachable",
    "k8s_namespace_exists",
    ...rights.map((word) => `k8s_rbac_${word}`),
    "k8s_job_accepted",
    "k8s_pod_accepted",
    "k8s_pvc_rwx",
    "k8s_api_url",
    "k8s_log_root_writable",
  ];
  for (const code of expected) expect([code, level(code)]).toEqual([code, "info"]);
  // The Secret that TypeScript's adapter looked for may be missing: nobody named it.
  expect(checks.filter((check) => check.level !== "info")).toEqual([]);
  expect(status).toBe("pass");
  expectAdvice(checks);
  expect(filesLeft(stage).filter((name) => name.includes("probe"))).toEqual([]);
});

test.each(["http://localhost:3100", "http://127.0.0.1:3100", "http://[::1]:3100", "http://0.0.0.0:3100", ""])(
  "an address that is useless in a pod is an error: %j",
  async (url) => {
    const { status, of } = await probe({ env: { PAPERCLIP_API_URL: url } });
    expect(status).toBe("fail");
    expect(of("k8s_api_url_unreachable_from_pods")).toMatchObject({
      level: "error",
      message: expect.stringContaining("PAPERCLIP_API_URL"),
      hint: expect.stringContaining("Service"),
    });
  },
);

test("a configuration that runs would refuse, and a root that is not there, are errors", async () => {
  const { of } = await probe({ tolerations: "{{{", dataRoot: "/does/not/exist" });
  expect(of("k8s_config_invalid")).toMatchObject({ level: "error", message: expect.stringContaining("tolerations") });
  expect(of("k8s_log_root_not_writable")).toMatchObject({ level: "error", hint: expect.stringContaining("dataRoot") });
});

describe.skipIf(isRealCluster)("in the stand-in", () => {
  test("a missing right is an error that says what to grant, a watch a warning, a needless one nothing", async () => {
    for (const [verb, resource] of [
      ["create", "jobs"],
      ["watch", "pods"],
      ["patch", "secrets"],
    ] as const) {
      await stage.local.fault({ kind: "status", code: 403, verb, resource });
    }
    const { status, of, checks } = await probe();
    expect(status).toBe("fail");
    expect(of("k8s_rbac_job_create")).toMatchObject({
      level: "error",
      hint: expect.stringMatching(/Grant `create` on `jobs` in namespace paperclip/),
    });
    expect(of("k8s_rbac_pod_watch")).toMatchObject({ level: "warn", message: expect.stringContaining("every 2 s") });
    expect(of("k8s_rbac_secret_patch").level).toBe("info");
    expectAdvice(checks);
    const ranks = checks.map((check) => ["error", "warn", "info"].indexOf(check.level));
    expect(ranks).toEqual([...ranks].sort());
  });

  test("a namespace that is missing is one error, which says how to make it", async () => {
    const { checks, of, status } = await probe({ namespace: "nowhere", kubeconfig: stage.local.adminKubeconfig });
    expect(status).toBe("fail");
    expect(of("k8s_namespace_check_failed")).toMatchObject({
      level: "error",
      message: "There is no namespace nowhere, in which Jobs are to run.",
      hint: expect.stringMatching(/: kubectl create namespace nowhere .* && kubectl .*rbac\.yaml .*rolebinding/),
    });
    const [first, ...others] = checks.filter(({ level }) => level === "error");
    expect([first?.code, others.map(({ code }) => code)]).toEqual([
      "k8s_namespace_check_failed",
      expect.not.arrayContaining([expect.stringContaining("rbac")]),
    ]);
    expectAdvice(checks);
  });

  test("a namespace in which nothing is granted, the server's own or another one, is one error", async () => {
    const resource = "jobs|pods|secrets|persistentvolumeclaims|namespaces|events|configmaps|resourcequotas";
    await stage.local.fault({ kind: "status", code: 403, resource });
    for (const [namespace, says, command] of [
      [
        "paperclip",
        /^Nothing is granted to the server in its namespace paperclip\.$/,
        /: kubectl -n paperclip exec .*rbac/,
      ],
      ["elsewhere", /namespace elsewhere, or there is no such namespace\.$/, /kubectl create namespace elsewhere /],
    ] as const) {
      const { checks, of } = await probe({ namespace, env: { PAPERCLIP_API_URL: apiUrl } });
      expect(of("k8s_namespace_check_failed")).toMatchObject({
        level: "error",
        message: expect.stringMatching(says),
        hint: expect.stringMatching(command),
      });
      const errors = checks.filter(({ level }) => level === "error").map(({ code }) => code);
      expect(errors).toEqual(
        namespace === "paperclip"
          ? ["k8s_namespace_check_failed"]
          : expect.arrayContaining(["k8s_namespace_check_failed", "k8s_self_pod_unknown"]),
      );
      expectAdvice(checks);
    }
  });

  test("a claim for each agent needs a storage class, and what may not be asked is not called well", async () => {
    const { of, status } = await probe({ agentDbMode: "dedicated_pvc" });
    expect(status).toBe("fail");
    expect(of("k8s_agent_db_storage_class_missing")).toMatchObject({
      level: "error",
      hint: expect.stringMatching(/get storageclass$/),
    });
    const named = await probe({ agentDbMode: "dedicated_pvc", agentDbStorageClass: "fast" });
    expect(named.of("k8s_agent_db_storage_class_unknown")).toMatchObject({
      level: "info",
      message: expect.stringMatching(
        /^Nobody said whether there is a storage class fast: the server may not read .*, and no run does\.$/,
      ),
    });
    expect((await probe()).checks.filter(({ code }) => code.includes("storage_class"))).toEqual([]);
  });

  test("what an agent's pod names and its namespace lacks is found, each with a command", async () => {
    const { of, checks } = await probe({
      imagePullSecrets: "no-such-login",
      podSpecPatch: {
        volumes: [
          { name: "cache", persistentVolumeClaim: { claimName: "no-such-claim" } },
          { name: "npm", secret: { secretName: "no-such-secret" } },
        ],
      },
    });
    expect(of("k8s_pull_secret_missing")).toMatchObject({
      level: "warn",
      message: expect.stringMatching(/^Pull secret no-such-login is missing in namespace paperclip: /),
    });
    expect(of("k8s_inherited_claim_missing")).toMatchObject({
      level: "error",
      message: expect.stringMatching(/^Claim no-such-claim is missing in namespace paperclip: /),
    });
    expect(of("k8s_inherited_secret_missing")).toMatchObject({
      level: "error",
      message: expect.stringMatching(/^Secret no-such-secret is missing in namespace paperclip: /),
    });
    expectAdvice(checks);
  });

  test("reviews that fail, objects that are not there, a pod that is unknown", async () => {
    await stage.local.fault({ kind: "status", code: 500, verb: "create", resource: "selfsubjectaccessreviews" });
    await stage.local.fault({ kind: "status", code: 403, verb: "get", resource: "namespaces" });
    await stage.local.fault({ kind: "status", code: 403, verb: "get", resource: "persistentvolumeclaims" });
    const { level, checks } = await probe({ secretRef: "no-such-secret" });
    expect(level("k8s_rbac_job_create")).toBe("warn");
    expect(level("k8s_namespace_check_failed")).toBe("warn");
    expect(level("k8s_pvc_check_failed")).toBe("warn");
    expect(level("k8s_secret_missing")).toBe("warn");
    expectAdvice(checks);
    const { HOSTNAME } = process.env;
    process.env["HOSTNAME"] = "somebody-else";
    try {
      expect((await probe()).of("k8s_self_pod_unknown")).toMatchObject({
        level: "error",
        hint: expect.stringContaining("POD_NAME"),
      });
    } finally {
      process.env["HOSTNAME"] = HOSTNAME;
    }
  });

  test("questions that hang are given up", async () => {
    await stage.local.fault({ kind: "hang", verb: "create|get" });
    const { status, checks } = await probe();
    expect(status).toBe("fail");
    expectAdvice(checks);
  });
});

describe("a server that accepts and never answers", () => {
  let silent: Server;
  const folder = mkdtempSync(join(tmpdir(), "probe-"));
  beforeAll(async () => {
    silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
  });
  afterAll(() => {
    silent.closeAllConnections();
    silent.close();
    rmSync(folder, { recursive: true });
  });

  test("is found out, and stops the test", async () => {
    const server = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const kubeconfig = join(folder, "kubeconfig");
    const [cluster, user, context] = [
      { name: "c", cluster: { server } },
      { name: "u", user: { token: "t" } },
      { name: "x", context: { cluster: "c", user: "u" } },
    ];
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [cluster],
        users: [user],
        contexts: [context],
        "current-context": "x",
      }),
    );
    const { status, of, level } = await probe({ kubeconfig });
    expect(status).toBe("fail");
    expect(of("k8s_api_unreachable")).toMatchObject({
      level: "error",
      message: expect.stringContaining("did not answer within 5 s"),
      hint: expect.stringContaining("network"),
    });
    expect(level("k8s_rbac_job_create")).toBeUndefined();
  });
});
