/** Configurations of the TypeScript adapter and of its fork, as docs/migration.md says that they are read. */
import { readFileSync } from "node:fs";

import { expect, it } from "vitest";

import type { JobBuildInput } from "../../adapter/index.js";
import { adapter, selfPod } from "./package.js";

const guide = readFileSync(new URL("../../docs/migration.md", import.meta.url), "utf8");

/** Every field of the TypeScript adapter, with the values that its page saves. */
const original = {
  model: "anthropic/claude-sonnet-4-6",
  variant: "high",
  promptTemplate: "You are {{agent.name}}.",
  bootstrapPromptTemplate: "Begin.",
  cwd: "/paperclip/work",
  image: "registry.example/opencode:1",
  imagePullPolicy: "Always",
  namespace: "agents",
  serviceAccountName: "runner",
  dangerouslySkipPermissions: true,
  resumeLastSession: false,
  extraArgs: ["--agent", "build"],
  env: { HOME: "/paperclip/home", OPENCODE_DISABLE_PROJECT_CONFIG: "false", PLAIN: "yes" },
  timeoutSec: 600,
  ttlSecondsAfterFinished: 120,
  retainJobs: true,
  resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { cpu: "2", memory: "4Gi" } },
  nodeSelector: "disk=ssd",
  tolerations: [{ key: "k", operator: "Exists", effect: "NoSchedule" }],
  labels: "team=core",
  kubeconfig: "/paperclip/kubeconfig",
  agentDbMode: "ephemeral",
  agentDbStorageClass: "fast",
  agentDbStorageCapacity: "2Gi",
  reattachOrphanedJobs: false,
  graceSec: 15,
};

/** Fields that only the fork has. */
const ofFork = {
  agentCommand: "/usr/local/bin/agent",
  ponytailPluginPath: "/paperclip/plugin",
  ponytailDefaultMode: "fast",
  enableDocker: true,
  dockerImage: "docker:dind",
  dockerCpuLimit: "1",
  dockerMemoryLimit: "1Gi",
  compactThreshold: 0.8,
};

function build(config: Record<string, unknown>) {
  const log: string[] = [];
  const ctx = {
    runId: "run-1",
    agent: { id: "agent-1", name: "Ada", companyId: "company-1", adapterType: "opencode_k8s", adapterConfig: {} },
    runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
    config,
    context: {},
    onLog: async (_stream: string, chunk: string) => void log.push(chunk),
  } as unknown as JobBuildInput["ctx"];
  const { job } = adapter.buildJobManifest({ ctx, selfPod });
  return { job, log };
}

it("a whole configuration of the TypeScript adapter has its effect, without a warning", () => {
  const { job, log } = build(original);
  expect(log.filter((line) => /Unknown settings|no effect/.test(line))).toEqual([]);
  const pod = job.spec["template"].spec;
  const agent = pod.containers[0]!;
  expect(job.metadata).toMatchObject({ namespace: "agents", labels: { team: "core" } });
  expect(pod).toMatchObject({
    serviceAccountName: "runner",
    nodeSelector: { disk: "ssd" },
    tolerations: [{ key: "k", operator: "Exists", effect: "NoSchedule" }],
  });
  expect(agent).toMatchObject({
    image: "registry.example/opencode:1",
    imagePullPolicy: "Always",
    resources: { requests: { cpu: "500m", memory: "1Gi" }, limits: { cpu: "2", memory: "4Gi" } },
  });
  for (const word of ["--model", "anthropic/claude-sonnet-4-6", "--variant", "high", "--agent", "build"]) {
    expect(agent.command).toContain(word);
  }
  expect(agent.env).toContainEqual({ name: "PLAIN", value: "yes" });
});

it("a configuration of the fork is the same Job with one warning that names what has no effect", () => {
  const before = build(original);
  const { job, log } = build({ ...original, ...ofFork });
  expect(job).toEqual(before.job);
  const warnings = log.filter((line) => line.includes("Unknown settings have no effect"));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(/agentCommand/);
});

it("the guide says what to do about each field of the fork", () => {
  for (const field of Object.keys(ofFork)) {
    const row = guide.split("\n").find((line) => line.startsWith("| ") && line.includes(`\`${field}\``));
    expect(row?.split("|").at(-2)?.trim(), field).toMatch(/\S/);
  }
});
