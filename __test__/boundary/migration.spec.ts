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
  instructionsFilePath: "/paperclip/AGENTS.md",
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
  ponytailDefaultMode: "full",
  envGuardPlugin: true,
  enableDocker: true,
  dockerImage: "docker:28-dind",
  dockerCpuLimit: "4",
  dockerMemoryLimit: "8Gi",
  compactThreshold: 100_000,
  // Not on its page: it reads them where somebody has written them.
  mcpServers: { files: { command: "files" } },
  providers: { openai: { accounts: ["one"] } },
  runIsolation: { mode: "isolated", key: "task" },
  k8sRunIsolation: { mode: "isolated", key: "task" },
  isolation: { mode: "isolated", key: "task" },
};

function build(config: Record<string, unknown>, database: Pick<JobBuildInput, "agentDbClaimName"> = {}) {
  const log: string[] = [];
  const ctx = {
    runId: "run-1",
    agent: { id: "agent-1", name: "Ada", companyId: "company-1", adapterType: "opencode_k8s", adapterConfig: {} },
    runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
    config,
    context: {},
    onLog: async (_stream: string, chunk: string) => void log.push(chunk),
  } as unknown as JobBuildInput["ctx"];
  const { job } = adapter.buildJobManifest({ ctx, selfPod, ...database });
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
  expect(Object.keys(ofFork).filter((field) => !warnings[0]!.includes(field))).toEqual([]);
});

it("a database on a claim of the agent's own stays on it", () => {
  const { job, log } = build(
    { ...original, agentDbMode: "dedicated_pvc" },
    { agentDbClaimName: "opencode-db-agent-1" },
  );
  expect(log.filter((line) => /Unknown settings|no effect/.test(line))).toEqual([]);
  const pod = job.spec["template"].spec;
  const claim = { name: "opencode-db", persistentVolumeClaim: { claimName: "opencode-db-agent-1" } };
  expect(pod.volumes).toContainEqual(claim);
  expect(pod.containers[0]!.volumeMounts).toContainEqual({ name: "opencode-db", mountPath: "/opencode-db" });
  expect(pod.containers[0]!.env).toContainEqual({ name: "OPENCODE_DB", value: "/opencode-db/opencode.db" });
});

it("the guide says what to do about each field of the fork", () => {
  for (const field of Object.keys(ofFork)) {
    const row = guide.split("\n").find((line) => line.startsWith("| ") && line.includes(`\`${field}\``));
    expect(row?.split("|").at(-2)?.trim(), field).toMatch(/\S/);
  }
});
