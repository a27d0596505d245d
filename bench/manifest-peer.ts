/**
 * The same Job as `buildJobManifest` makes it, written the way a TypeScript adapter does: objects, spreads and template
 * texts. Only here to have something to measure against (bench/manifest.mjs).
 */
import { createHash } from "node:crypto";

import {
  buildPaperclipEnv,
  joinPromptSections,
  renderPaperclipWakePrompt,
  renderTemplate,
  stringifyPaperclipWakePayload,
} from "@paperclipai/adapter-utils/server-utils";

type Dict = Record<string, any>;

const SECRET_FROM_BYTES = 100 * 1024;

/** Builds the Job; `script` is the text that both sides put into the pod. */
export function buildWithObjects(
  input: { ctx: Dict; selfPod: Dict; instructionsContent?: string },
  script: string,
): Dict {
  const { ctx, selfPod } = input;
  const { agent, config, context, runId } = ctx;
  const prompt = renderPrompt(input);
  const fromSecret = Buffer.byteLength(prompt) > SECRET_FROM_BYTES;
  const jobName = nameOf(agent.id, runId);
  const labels = labelsOf(ctx);
  const folder = `/paperclip/instances/default/run-logs/${agent.companyId}/${agent.id}`;
  const base = `${folder}/${runId}.pod`;
  const args = [
    "run",
    "--format",
    "json",
    ...(config.model ? ["--model", config.model] : []),
    ...(config.extraArgs ?? []),
  ];
  const write = fromSecret
    ? "cp /tmp/prompt-secret/prompt /tmp/prompt/prompt.txt"
    : `printf '%s' "$PROMPT_CONTENT" > /tmp/prompt/prompt.txt`;
  const data = { name: "data", mountPath: "/paperclip" };
  const scratch = { name: "prompt", mountPath: "/tmp/prompt" };
  const secretMount = { name: "prompt-secret", mountPath: "/tmp/prompt-secret", readOnly: true };
  const job = {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: jobName,
      namespace: config.namespace ?? selfPod.namespace,
      labels,
      annotations: {
        "paperclip.io/adapter-type": "opencode_k8s",
        "paperclip.io/agent-name": agent.name,
        "paperclip.io/pod-log-path": `${base}.ndjson`,
        "paperclip.io/pod-stderr-path": `${base}.stderr.log`,
        "paperclip.io/pod-end-path": `${base}.end.json`,
        "paperclip.io/prompt-hash": createHash("sha256").update(prompt.replaceAll(runId, "")).digest("hex"),
      },
    },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: config.ttlSecondsAfterFinished ?? 300,
      template: {
        metadata: { labels },
        spec: {
          restartPolicy: "Never",
          terminationGracePeriodSeconds: 30,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            runAsGroup: 1000,
            fsGroup: 1000,
            fsGroupChangePolicy: "OnRootMismatch",
          },
          initContainers: [
            {
              name: "write-prompt",
              image: "busybox:1.36",
              imagePullPolicy: "IfNotPresent",
              command: ["sh", "-c", `mkdir -p ${folder} && ${write}`],
              ...(fromSecret ? {} : { env: [{ name: "PROMPT_CONTENT", value: dollars(prompt) }] }),
              volumeMounts: fromSecret ? [scratch, secretMount, data] : [scratch, data],
              securityContext: containerSecurity(),
              resources: { requests: { cpu: "10m", memory: "16Mi" }, limits: { cpu: "100m", memory: "64Mi" } },
            },
          ],
          containers: [
            {
              name: "opencode",
              image: config.image ?? selfPod.image,
              imagePullPolicy: config.imagePullPolicy ?? "IfNotPresent",
              workingDir: context.paperclipWorkspace?.cwd ?? config.cwd ?? "/paperclip",
              command: ["sh", "-c", script, "paperclip", runId, base, ...args].map(dollars),
              env: envOf(ctx, selfPod),
              volumeMounts: [scratch, data],
              securityContext: containerSecurity(),
              resources: {
                requests: { cpu: "1000m", memory: "2Gi", ...config.resources?.requests },
                limits: { cpu: "4000m", memory: "8Gi", ...config.resources?.limits },
              },
              terminationMessagePolicy: "FallbackToLogsOnError",
            },
          ],
          volumes: [
            { name: "prompt", emptyDir: {} },
            ...(fromSecret ? [{ name: "prompt-secret", secret: { secretName: `${jobName}-prompt` } }] : []),
            { name: "data", persistentVolumeClaim: { claimName: selfPod.pvcClaimName } },
          ],
        },
      },
    },
  };
  return { job, jobName, namespace: job.metadata.namespace, prompt, opencodeArgs: args, podLogPath: `${base}.ndjson` };
}

function renderPrompt({ ctx, instructionsContent }: { ctx: Dict; instructionsContent?: string }): string {
  const { agent, config, context, runId } = ctx;
  const data = {
    agentId: agent.id,
    companyId: agent.companyId,
    runId,
    company: { id: agent.companyId },
    agent,
    run: { id: runId },
    context,
  };
  return joinPromptSections([
    instructionsContent?.trim() ?? "",
    renderPaperclipWakePrompt(context.paperclipWake, { resumedSession: false }),
    renderTemplate(config.promptTemplate ?? "You are agent {{agent.id}} ({{agent.name}}).", data),
  ]);
}

function envOf({ agent, config, context, runId, authToken }: Dict, selfPod: Dict): Dict[] {
  const workspace = context.paperclipWorkspace ?? {};
  const wake = stringifyPaperclipWakePayload(context.paperclipWake);
  const ours: Dict = {
    ...buildPaperclipEnv(agent),
    PAPERCLIP_RUN_ID: runId,
    ...(context.issueId ? { PAPERCLIP_TASK_ID: context.issueId } : {}),
    ...(wake ? { PAPERCLIP_WAKE_PAYLOAD_JSON: wake } : {}),
    ...(workspace.cwd ? { PAPERCLIP_WORKSPACE_CWD: workspace.cwd, PAPERCLIP_WORKSPACE_ID: workspace.workspaceId } : {}),
    ...(authToken ? { PAPERCLIP_API_KEY: authToken } : {}),
  };
  const env: Dict = {
    ...selfPod.inheritedEnv,
    ...Object.fromEntries(Object.entries(ours).map(([name, value]) => [name, dollars(String(value))])),
    ...config.env,
    OPENCODE_DISABLE_PROJECT_CONFIG: "true",
    HOME: "/paperclip",
  };
  return [...Object.entries(env).map(([name, value]) => ({ name, value })), ...selfPod.inheritedEnvValueFrom];
}

function labelsOf({ agent, runId, context }: Dict): Dict {
  return {
    "app.kubernetes.io/managed-by": "paperclip",
    "app.kubernetes.io/component": "agent-job",
    "paperclip.io/adapter-type": "opencode_k8s",
    "paperclip.io/agent-id": labelValue(agent.id),
    "paperclip.io/run-id": labelValue(runId),
    "paperclip.io/company-id": labelValue(agent.companyId),
    ...(context.issueId ? { "paperclip.io/task-id": labelValue(context.issueId) } : {}),
  };
}

function labelValue(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, "")
    .slice(0, 63)
    .replace(/^[._-]+|[._-]+$/g, "");
}

function nameOf(agentId: string, runId: string): string {
  const part = (id: string) =>
    id
      .toLowerCase()
      .replace(/[^a-z0-9-]/g, "")
      .slice(0, 16);
  const hash = createHash("sha256").update(`${agentId}:${runId}`).digest("hex").slice(0, 6);
  return `agent-opencode-${part(agentId)}-${part(runId)}-${hash}`;
}

function dollars(text: string): string {
  return text.replaceAll("$", "$$$$");
}

function containerSecurity(): Dict {
  return {
    capabilities: { drop: ["ALL"] },
    readOnlyRootFilesystem: false,
    runAsNonRoot: true,
    runAsUser: 1000,
    allowPrivilegeEscalation: false,
  };
}
