/**
 * Every field that shapes the pod: the API server takes the Job of each, strictly, and has the field as it was set.
 * With TEST_KUBECONFIG a real one is asked by `kubectl create --dry-run=server`. Kubernetes below 1.25 has no strict
 * validation of its own: there kubectl compares with the server's schema first, and what comes back is compared with
 * what was sent.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { describe, expect, test } from "vitest";

import { adapter, selfPod } from "../boundary/package.js";
import { context } from "../adapter/fake-native.js";
import { isRealCluster, useStage } from "./stage.js";

const stage = useStage();

const TERM = { weight: 1, preference: { matchExpressions: [{ key: "zone", operator: "In", values: ["a"] }] } };
const AFFINITY = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [TERM] } };
const SPREAD = {
  maxSkew: 1,
  topologyKey: "kubernetes.io/hostname",
  whenUnsatisfiable: "ScheduleAnyway",
  labelSelector: { matchLabels: { team: "a" } },
};
const TOLERATION = { key: "agents", operator: "Exists", effect: "NoSchedule" };
const PATCH = `
hostAliases: [{ip: 192.0.2.7, hostnames: [tracker.company]}]
securityContext: {supplementalGroups: [4000]}
volumes: [{name: notes, configMap: {name: company}}]
containers:
- name: opencode
  volumeMounts: [{name: notes, mountPath: /etc/notes, readOnly: true}]
  env: [{name: OF_THE_PATCH, value: "yes"}]
- name: proxy
  image: proxy:1
`;

const inAgent = (more: object) => ({ containers: expect.arrayContaining([expect.objectContaining(more)]) });
const inInit = (more: object) => ({ initContainers: [expect.objectContaining(more)] });
const ofResources = (requests: object, limits: object) => ({
  resources: { requests: expect.objectContaining(requests), limits: expect.objectContaining(limits) },
});

/** A field with its value, and what the pod's spec has of it. */
const FIELDS: [string, Record<string, unknown>, object][] = [
  ["priorityClassName", { priorityClassName: "agents" }, { priorityClassName: "agents" }],
  ["runtimeClassName", { runtimeClassName: "gvisor" }, { runtimeClassName: "gvisor" }],
  ["affinity", { affinity: AFFINITY }, { affinity: AFFINITY }],
  ["topologySpreadConstraints", { topologySpreadConstraints: [SPREAD] }, { topologySpreadConstraints: [SPREAD] }],
  ["imagePullSecrets", { imagePullSecrets: "registry" }, { imagePullSecrets: [{ name: "registry" }] }],
  ["nodeSelector", { nodeSelector: "pool=agents" }, { nodeSelector: { pool: "agents" } }],
  ["tolerations", { tolerations: [TOLERATION] }, { tolerations: [TOLERATION] }],
  ["serviceAccountName", { serviceAccountName: "agents" }, { serviceAccountName: "agents" }],
  ["no account", {}, { automountServiceAccountToken: false }],
  [
    "ephemeral storage",
    { "resources.requests.ephemeral-storage": "64Mi", "resources.limits.ephemeral-storage": "1Gi" },
    inAgent(ofResources({ "ephemeral-storage": "64Mi" }, { "ephemeral-storage": "1Gi" })),
  ],
  [
    "GPUs",
    { "resources.other": "nvidia.com/gpu=1" },
    inAgent(ofResources({ "nvidia.com/gpu": "1" }, { "nvidia.com/gpu": "1" })),
  ],
  ["initImage", { initImage: "busybox:1.36" }, inInit({ image: "busybox:1.36" })],
  [
    "initResources",
    { "initResources.limits.memory": "96Mi", "initResources.requests.cpu": "20m" },
    inInit(ofResources({ cpu: "20m" }, { memory: "96Mi" })),
  ],
  ["imagePullPolicy", { imagePullPolicy: "Always" }, inAgent({ imagePullPolicy: "Always" })],
  [
    "ids of the pod",
    { runAsUser: "2000", runAsGroup: "none", fsGroup: "3000" },
    { securityContext: expect.objectContaining({ runAsUser: 2000, fsGroup: 3000, runAsNonRoot: true }) },
  ],
  [
    "podSpecPatch",
    { podSpecPatch: PATCH },
    {
      hostAliases: [{ ip: "192.0.2.7", hostnames: ["tracker.company"] }],
      securityContext: expect.objectContaining({ supplementalGroups: [4000], runAsNonRoot: true }),
      volumes: expect.arrayContaining([expect.objectContaining({ name: "notes" })]),
      ...inAgent({
        name: "opencode",
        volumeMounts: expect.arrayContaining([{ name: "notes", mountPath: "/etc/notes", readOnly: true }]),
        env: expect.arrayContaining([{ name: "OF_THE_PATCH", value: "yes" }]),
      }),
    },
  ],
];

/** Fields of the Job itself. */
const OF_JOB = {
  queueName: "agents",
  labels: "team=a",
  podAnnotations: "sidecar.istio.io/inject=false",
  timeoutSec: "2h",
  ttlSecondsAfterFinished: "10m",
};

function jobOf(config: Record<string, unknown>): any {
  const { ctx } = context({ config: { image: "agent:1", ...config } });
  return adapter.buildJobManifest({ ctx, selfPod }).job;
}

/** What the API server would make of it; throws its refusal. */
async function tried(job: object): Promise<any> {
  if (isRealCluster) {
    const args = [
      "--kubeconfig",
      process.env["TEST_KUBECONFIG"]!,
      "create",
      "--dry-run=server",
      "-o",
      "json",
      "-f",
      "-",
    ];
    return JSON.parse(execFileSync("kubectl", args, { input: JSON.stringify(job), encoding: "utf8" }));
  }
  const { url, namespace, kubeconfig } = stage.local;
  const token = /"?token"?: ?"?([\w-]+)/.exec(readFileSync(kubeconfig, "utf8"))![1];
  const query = "dryRun=All&fieldValidation=Strict";
  const answer = await fetch(`${url}/apis/batch/v1/namespaces/${namespace}/jobs?${query}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify(job),
  });
  const body = (await answer.json()) as { message?: string };
  if (!answer.ok) throw new Error(body.message);
  return body;
}

/** The API server writes `4000m` of a quantity as `4`. */
const canonical = (value: unknown): unknown =>
  /^\d+000m$/.test(String(value)) ? String(value).replace(/000m$/, "") : value;

/** Paths of what was sent and did not come back, or came back as something else. */
function lost(sent: any, back: any, path = ""): string[] {
  if (typeof sent !== "object" || sent === null) {
    return canonical(sent) === canonical(back) ? [] : [`${path}: ${back}`];
  }
  // What is empty need not be kept.
  return Object.entries(sent).flatMap(([key, value]) =>
    back?.[key] === undefined && (value === null || JSON.stringify(value).length === 2)
      ? []
      : lost(value, back?.[key], `${path}.${key}`),
  );
}

describe("a field of the pod", () => {
  test.each(FIELDS)("%s", async (_name, config, wanted) => {
    const job = jobOf(config);
    const back = await tried(job);
    expect(back.spec.template.spec).toMatchObject(wanted);
    expect(lost(job, back)).toEqual([]);
  });

  test("all of them in one Job", async () => {
    const { ...config } = Object.assign({}, OF_JOB, ...FIELDS.map(([, field]) => field));
    const job = jobOf(config);
    const back = await tried(job);
    expect(back.metadata.labels).toMatchObject({ "kueue.x-k8s.io/queue-name": "agents", team: "a" });
    expect(back.spec).toMatchObject({ activeDeadlineSeconds: 7200, ttlSecondsAfterFinished: 600 });
    expect(back.spec.template.metadata.annotations).toMatchObject({ "sidecar.istio.io/inject": "false" });
    expect(lost(job, back)).toEqual([]);
  });

  test("that the API does not know is refused or comes back as lost", async () => {
    const job = jobOf({});
    job.spec.template.spec.noSuchField = "x";
    const found = await tried(job).then(
      (back) => lost(job, back).join(),
      (error: Error) => error.message + ((error as { stderr?: string }).stderr ?? ""),
    );
    expect(found).toContain("noSuchField");
  });
});
