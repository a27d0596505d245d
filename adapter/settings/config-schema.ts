/** The fields of an agent's configuration that the host's form shows. Their meaning is decided in the addon. */
import type { AdapterConfigSchema, ConfigFieldSchema } from "@paperclipai/adapter-utils";

const agent: ConfigFieldSchema[] = [
  {
    key: "variant",
    label: "Variant",
    type: "text",
    hint: "Reasoning effort or profile of the model, given to opencode as --variant.",
  },
  {
    key: "instructionsFilePath",
    label: "Instructions file",
    type: "text",
    hint: "Absolute path of a markdown file on this server, for example AGENTS.md; it opens the prompt of every run.",
  },
  {
    key: "dangerouslySkipPermissions",
    label: "Skip permission questions",
    type: "toggle",
    default: true,
    hint: "Answers opencode's own questions (files outside the workspace, repeated calls, .env files) with yes.",
  },
  {
    key: "resumeLastSession",
    label: "Resume last session",
    type: "toggle",
    default: true,
    hint: "Goes on with the conversation of the task's last run. Off: every run starts afresh.",
  },
];

const database: ConfigFieldSchema[] = [
  {
    key: "agentDbMode",
    label: "Session database",
    type: "select",
    options: [
      { label: "Shared volume, one folder for each task", value: "workspace_subpath" },
      { label: "A volume of its own for each agent (ReadWriteOnce)", value: "dedicated_pvc" },
      { label: "None: sessions end with their run", value: "ephemeral" },
    ],
    hint: "Where opencode keeps its sessions. Unset: its own volume with a storage class, else the shared one.",
  },
  {
    key: "agentDbStorageClass",
    label: "Database storage class",
    type: "text",
    hint: "Storage class of the agent's own volume; needed for that mode.",
  },
  {
    key: "agentDbStorageCapacity",
    label: "Database size",
    type: "text",
    default: "1Gi",
    hint: "Size of the agent's own volume, for example 5Gi.",
  },
];

const pod: ConfigFieldSchema[] = [
  { key: "namespace", label: "Namespace", type: "text", hint: "Where Jobs run. Unset: the namespace of this server." },
  {
    key: "image",
    label: "Image",
    type: "text",
    hint: "Container image with opencode in its PATH. Unset: the image of this server.",
  },
  {
    key: "imagePullPolicy",
    label: "Image pull policy",
    type: "select",
    options: ["IfNotPresent", "Always", "Never"].map((value) => ({ label: value, value })),
    default: "IfNotPresent",
  },
  {
    key: "kubeconfig",
    label: "Kubeconfig",
    type: "text",
    hint: "Absolute path of a kubeconfig file on this server. Unset: the service account of this server's pod.",
  },
  {
    key: "serviceAccountName",
    label: "Service account",
    type: "text",
    hint: "Service account of the pods. Unset: the namespace's default.",
  },
  { key: "resources.requests.cpu", label: "CPU request", type: "text", hint: "For example 500m. Unset: 1000m." },
  { key: "resources.requests.memory", label: "Memory request", type: "text", hint: "For example 1Gi. Unset: 2Gi." },
  { key: "resources.limits.cpu", label: "CPU limit", type: "text", hint: "For example 2. Unset: 4000m." },
  { key: "resources.limits.memory", label: "Memory limit", type: "text", hint: "For example 4Gi. Unset: 8Gi." },
  {
    key: "nodeSelector",
    label: "Node selector",
    type: "textarea",
    hint: "key=value, one a line, or a JSON object. Unset: as this server's pod; empty: none.",
  },
  {
    key: "tolerations",
    label: "Tolerations",
    type: "textarea",
    hint: "A list of tolerations as JSON or YAML. Unset: as this server's pod; empty: none.",
  },
  {
    key: "labels",
    label: "Labels",
    type: "textarea",
    hint: "key=value, one a line, or a JSON object. Labels of the adapter cannot be replaced.",
  },
  {
    key: "podAnnotations",
    label: "Pod annotations",
    type: "textarea",
    hint: "key=value, one a line, or a JSON object; for example to keep a service mesh out of the pod.",
  },
  {
    key: "evictable",
    label: "May be evicted",
    type: "toggle",
    default: false,
    hint: "Lets cluster autoscalers move the pod; a moved run is lost.",
  },
];

const run: ConfigFieldSchema[] = [
  {
    key: "ttlSecondsAfterFinished",
    label: "Keep ended Jobs (seconds)",
    type: "number",
    default: 300,
    hint: "When Kubernetes removes an ended Job that nobody removed.",
  },
  {
    key: "retainJobs",
    label: "Keep Jobs",
    type: "toggle",
    hint: "Leaves Job, Secret and log files in place for debugging.",
  },
  {
    key: "reattachOrphanedJobs",
    label: "Reattach after a restart",
    type: "toggle",
    default: true,
    hint: "Takes over the Job of the same task that a former server left running, instead of waiting for its end.",
  },
  {
    key: "guardWaitSec",
    label: "Wait for other runs (seconds)",
    type: "number",
    default: 0,
    hint: "How long a run waits for other Jobs of its agent. 0: without limit.",
  },
  {
    key: "scheduleTimeoutSec",
    label: "Scheduling limit (seconds)",
    type: "number",
    default: 120,
    hint: "Until the pod has a node.",
  },
  {
    key: "startTimeoutSec",
    label: "Start limit (seconds)",
    type: "number",
    default: 600,
    hint: "From the node until the agent starts.",
  },
  {
    key: "outageTimeoutSec",
    label: "API outage limit (seconds)",
    type: "number",
    default: 600,
    hint: "How long the Kubernetes API may be unreachable before the outcome counts as unknown.",
  },
  {
    key: "maxLogBytes",
    label: "Log limit (bytes)",
    type: "number",
    default: 2 * 1024 ** 3,
    hint: "An agent that prints more is ended. 0: without limit.",
  },
  {
    key: "logRetentionSec",
    label: "Keep orphaned logs (seconds)",
    type: "number",
    default: 7 * 24 * 3600,
    hint: "When log files on the shared volume whose Job is gone are swept away.",
  },
  {
    key: "dataRoot",
    label: "Shared volume on this server",
    type: "text",
    hint: "Where this server mounts what pods see as /paperclip. Unset: PAPERCLIP_K8S_DATA_ROOT, else /paperclip.",
  },
];

function inGroup(group: string, fields: ConfigFieldSchema[]): ConfigFieldSchema[] {
  return fields.map((field) => ({ ...field, group }));
}

/** The schema; model, prompt templates, env, extra arguments and timeouts are fields of the host itself. */
export function getConfigSchema(): AdapterConfigSchema {
  return {
    fields: [...inGroup("Core", [...agent, ...database]), ...inGroup("Kubernetes", pod), ...inGroup("Operation", run)],
  };
}
