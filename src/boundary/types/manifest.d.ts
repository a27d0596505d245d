/** Objects of the Kubernetes API keep its field names; its own schema is their type. */
export type KubernetesObject = { [field: string]: unknown };

/** A Job as the Kubernetes API takes it. */
export interface KubernetesJob {
  apiVersion: "batch/v1";
  kind: "Job";
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
  };
  spec: KubernetesJobSpec;
}

/** The parts of a Job's spec that this package sets; all else is as the Kubernetes API has it. */
export interface KubernetesJobSpec {
  [field: string]: unknown;
  backoffLimit: number;
  activeDeadlineSeconds?: number;
  /** Seconds after its end in which the Job is kept; absent where Jobs are retained. */
  ttlSecondsAfterFinished?: number;
  template: {
    metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
    spec: KubernetesPodSpec;
  };
}

/** The parts of a pod's spec that this package sets; all else is as the Kubernetes API has it. */
export interface KubernetesPodSpec {
  [field: string]: unknown;
  containers: KubernetesContainer[];
  initContainers?: KubernetesContainer[];
  volumes?: (KubernetesObject & { name: string })[];
}

/** The parts of a container that this package sets; all else is as the Kubernetes API has it. */
export interface KubernetesContainer {
  [field: string]: unknown;
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: KubernetesObject }[];
  volumeMounts?: (KubernetesObject & { name: string; mountPath: string })[];
}

/** A secret volume of the server's own pod that Jobs inherit. */
export interface SelfPodSecretVolume {
  volumeName: string;
  secretName: string;
  mountPath: string;
  /** File mode of its keys, as a number; the API server's default is 0644. */
  defaultMode?: number | undefined;
}

/** What the server knows of its own pod; Jobs inherit it. Objects of the Kubernetes API keep its field names. */
export interface SelfPodInfo {
  /** The Job's namespace, unless the agent's configuration names one. */
  namespace: string;
  /** The agent's image, unless its configuration names one. */
  image: string;
  imagePullSecrets: { name: string }[];
  dnsConfig?: object | undefined;
  /** The claim mounted at `/paperclip`. */
  pvcClaimName: string | null;
  /** The `subPath` of that mount. */
  dataSubPath?: string | undefined;
  /** The `subPathExpr` of that mount; a Job cannot inherit it, so building refuses it. */
  dataSubPathExpr?: string | undefined;
  secretVolumes: SelfPodSecretVolume[];
  inheritedEnv: Record<string, string>;
  inheritedEnvValueFrom: { name: string; valueFrom?: object | undefined }[];
  inheritedEnvFrom?: object[] | undefined;
  nodeSelector?: Record<string, string> | undefined;
  tolerations?: object[] | undefined;
}

/** What of a host's execution context a Job is made of. */
export interface JobRunContext {
  /** The host's id of the run: letters, digits and hyphens. */
  runId: string;
  /** The agent; its ids hold letters, digits and hyphens. */
  agent: { id: string; name: string; companyId: string };
  /** The stored session; none starts a fresh one. */
  runtime?: { sessionId?: string | null; sessionParams?: Record<string, unknown> | null } | null | undefined;
  /** The agent's configuration; the README lists its fields. */
  config: Record<string, unknown>;
  /** The run's context; `issueId`, `paperclipWorkspace` and others are read. */
  context: Record<string, unknown>;
  /** `PAPERCLIP_API_KEY` of the pod. */
  authToken?: string | null | undefined;
}

/** What a Job is made of, beside its prompt. */
export interface JobBuildBase {
  selfPod: SelfPodInfo;
  /** The Secret that holds the prompt, for prompts over 100 KiB of UTF-8. */
  promptSecretName?: string | undefined;
  /** The agent's own claim for opencode's database; `null`: a volume that lives as long as the pod. */
  agentDbClaimName?: string | null | undefined;
  /** opencode's database file on the shared volume: absolute, under `/paperclip`. */
  agentDbPath?: string | undefined;
  /** Keeps the Job after it ended: it gets no time to live. The default is the configuration's. */
  retainJobs?: boolean | undefined;
  /** What the init container must find beside the log file before it goes on; none by default. */
  nonce?: string | undefined;
}

/** Input of {@link buildJobManifest}: the prompt is rendered text. */
export interface JobBuildInput extends JobBuildBase {
  ctx: JobRunContext;
  /** The prompt of a fresh session. */
  prompt: string;
  /** Characters of its sections, given back as they are; `{}` by default. */
  promptMetrics?: Record<string, number> | undefined;
  /** The prompt of a resumed session, where it differs: whether a session is resumed is decided here. */
  resumedPrompt?: string | undefined;
  resumedPromptMetrics?: Record<string, number> | undefined;
  /**
   * `PAPERCLIP_*` variables of every run of the agent, as adapter-utils' `buildPaperclipEnv` gives them. Whose run it
   * is (`PAPERCLIP_AGENT_ID`, `PAPERCLIP_COMPANY_ID`) is added where it is missing; the address of Paperclip's API is
   * not.
   */
  baseEnv?: Record<string, string> | undefined;
  /** The wake as JSON, for `PAPERCLIP_WAKE_PAYLOAD_JSON`. */
  wakePayloadJson?: string | null | undefined;
  /** Variables of the host's run-scoped tools. */
  runtimeToolsEnv?: Record<string, string> | undefined;
  /** MCP servers of the company's connections, as the host's `runtimeMcp` lists them. */
  mcpServers?: { name: string; url: string; token: string }[] | undefined;
  /** The program that stands in the place of `git` and `gh` for a company with a GitHub connection. */
  githubLauncher?: string | null | undefined;
  /** The port on which the server's own process listens: at `localhost` a pod does not find it. */
  serverPort?: string | undefined;
  /** PATH of the server's process, which some hosts write into `config.env`: it is left out. */
  serverPath?: string | undefined;
  /** Names that no `config.env` may set. */
  forbiddenEnvKeys?: string[] | undefined;
}

/** A manifest and what its callers need to know about it. */
export interface JobBuildResult {
  job: KubernetesJob;
  jobName: string;
  namespace: string;
  /** The prompt that the agent gets, with half characters replaced. */
  prompt: string;
  /** The arguments that opencode gets. */
  opencodeArgs: string[];
  promptMetrics: Record<string, number>;
  /** The log file as the pod sees it. */
  podLogPath: string;
  /** What was changed or left out, a sentence each. */
  warnings: string[];
}
