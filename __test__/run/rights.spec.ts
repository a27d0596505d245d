/**
 * What the Role of deploy/rbac.yaml grants is what runs, the environment test and the page of costs ask for: no verb
 * less, and none more.
 */
import { expect, test } from "vitest";

import { ROLE } from "../../local-cluster/api/access.js";
import { adapter } from "../boundary/package.js";
import { answer, isRealCluster, run, useStage, whenLogged } from "./stage.js";

const stage = useStage();

const module = () => adapter.createServerAdapter();

test.skipIf(isRealCluster)("every right is used, and nothing else is asked for", async () => {
  const { local } = stage;
  await local.resetRequests();
  const podSpecPatch = { volumes: [{ name: "ca", configMap: { name: "company-ca" } }] };
  const config = { podSpecPatch };
  const { checks } = await module().testEnvironment({ companyId: "company-1", adapterType: "opencode_k8s", config });
  expect(checks[0]).toMatchObject({ code: "k8s_inherited_configmap_missing", level: "error" });
  await module().getQuotaWindows!();
  // A database of the agent's own is a claim.
  const worked = await run(answer("done"), {
    config: { agentDbMode: "dedicated_pvc", agentDbStorageClass: "standard" },
  });
  expect(worked.result).toMatchObject({ exitCode: 0, errorMessage: null });
  // Whether a Job is gone that is shown no more is asked by its name.
  const removeJob = async (): Promise<void> => {
    const [job] = await local.objects("jobs");
    await local.delete("jobs", job!.metadata.name);
  };
  await run("echo at work; sleep 60", { onLog: whenLogged("at work", removeJob) });
  // What refuses a pod is told in events; a Job that never ran is withdrawn.
  await local.fault({ kind: "deny-pods" });
  const refused = await run(answer("never"), { config: { scheduleTimeoutSec: 1 } });
  expect(refused.result.errorCode).toBe("k8s_pod_schedule_failed");
  await local.clearFaults();
  const granted = Object.entries(ROLE).flatMap(([resource, verbs]) => verbs.map((verb) => `${verb} ${resource}`));
  expect(Object.keys(await local.requests()).sort()).toEqual(granted.sort());
});

test.skipIf(isRealCluster)("the page of costs shows what is used of the namespace's quotas", async () => {
  const { local } = stage;
  const empty = { provider: "opencode_k8s", source: "ResourceQuota", ok: true, windows: [] };
  expect(await module().getQuotaWindows!()).toEqual(empty);
  await local.create("resourcequotas", { metadata: { name: "agents" }, spec: { hard: { pods: "50" } } });
  const status = { hard: { pods: "50", "requests.memory": "4Gi" }, used: { pods: "5", "requests.memory": "3Gi" } };
  await local.patch("resourcequotas", "agents", { status }, "status");
  const { windows } = await module().getQuotaWindows!();
  const of = (label: string, usedPercent: number, valueLabel: string) => ({
    label,
    usedPercent,
    resetsAt: null,
    valueLabel,
    detail: "ResourceQuota agents",
  });
  expect(windows).toEqual([of("pods", 10, "5 of 50"), of("requests.memory", 75, "3Gi of 4Gi")]);
  await local.delete("resourcequotas", "agents");
});

test.skipIf(isRealCluster)("without the right it says so plainly, and nothing fails", async () => {
  const { local } = stage;
  await local.fault({ kind: "status", code: 403, verb: "list", resource: "resourcequotas" });
  const quotas = await module().getQuotaWindows!();
  expect(quotas).toMatchObject({ provider: "opencode_k8s", ok: false, windows: [] });
  expect(quotas.error).toMatch(/^Quotas not granted: .*resourcequotas of namespace paperclip/);
  expect(quotas.error).toContain("`list` on resourcequotas");
  await local.clearFaults();
  const { KUBECONFIG } = process.env;
  process.env["KUBECONFIG"] = "/does/not/exist";
  try {
    expect(await module().getQuotaWindows!()).toMatchObject({
      ok: false,
      error: expect.stringMatching(/^Quotas not read: /),
    });
  } finally {
    process.env["KUBECONFIG"] = KUBECONFIG;
  }
});
