/** What {@link probeEnvironment} is to test. */
export interface ProbeRequest {
  /** The company whose agent is tested: `{{companyId}}` in its namespace. */
  companyId?: string | undefined;
  /** The agent's configuration. */
  config: Record<string, unknown>;
  /** Where this server runs. */
  environment: ServerEnvironment;
  /** The address of Paperclip's API that agents' pods will call. */
  paperclipApiUrl?: string | undefined;
  /** The HTTP status with which that address answered this server; absent when it did not answer. */
  paperclipApiStatus?: number | undefined;
}

/** Whose namespace's quotas {@link quotaWindows} reads. */
export interface QuotaRequest {
  /** Where this server runs. */
  environment: ServerEnvironment;
}

/** What is used of one limit of a ResourceQuota, in the host's words for a provider's quota. */
export interface QuotaWindow {
  /** The resource, such as `requests.cpu`. */
  label: string;
  /** 0 to 100; `null` where a quantity cannot be read. */
  usedPercent: number | null;
  /** Never: a quota has no end. */
  resetsAt: null;
  /** Used and allowed, such as `500m of 2`. */
  valueLabel: string;
  /** Names the ResourceQuota. */
  detail: string;
}

/** What the server's environment asks of {@link observe}. */
export interface Observation {
  /** `PAPERCLIP_K8S_LOG`: `off`, `error`, `warn` (default), `info` or `debug`. */
  log?: string | undefined;
  /** `PAPERCLIP_K8S_METRICS`: a loopback address with a port, or an absolute path of a file. Default: none. */
  metrics?: string | undefined;
}

/** Where a server process runs, as its environment says. */
export interface ServerEnvironment {
  /** Host name; inside a cluster that is the name of the own pod. */
  hostname?: string | undefined;
  /** The own pod's name where the Deployment states it (downward API). */
  podName?: string | undefined;
  /** The own namespace where the Deployment states it. */
  namespace?: string | undefined;
  /** `PAPERCLIP_INSTANCE_ID`: the host's own name of this installation. */
  instanceId?: string | undefined;
  /** `KUBECONFIG`. */
  kubeconfig?: string | undefined;
  /** Set by Kubernetes in every pod. */
  kubernetesServiceHost?: string | undefined;
  /** Where this server sees the shared volume (`/paperclip`). */
  dataRoot?: string | undefined;
  /** `uid:gid` under which pods' files appear on this server's mount, where the volume maps ids. */
  volumeOwner?: string | undefined;
  /** `PAPERCLIP_API_URL`, which agents' pods will call. */
  paperclipApiUrl?: string | undefined;
}

/** Where a program of the server's own runs. */
export interface ProgramPlace {
  /** Its variables. */
  environment: Record<string, string | undefined>;
  /** The folder for its temporary files. */
  temp: string;
}

/** One finding of the environment test. */
export interface EnvironmentCheck {
  /** Names the finding, such as `k8s_pvc_rwx`; it stays the same from version to version. */
  code: string;
  level: "info" | "warn" | "error";
  message: string;
  /** What to do. */
  hint?: string;
}

/** The files of one prompt. */
export interface PromptFilesRequest {
  /** Where this server sees the shared volume. */
  dataRoot: string;
  /** The same as the server's environment says it, whatever the agent's settings say. */
  serverDataRoot?: string | undefined;
  /** Path of the agent's instructions. */
  instructions?: string | null | undefined;
  /** Each a file, or a folder with a `SKILL.md`. */
  skills: { key: string; source: string }[];
  /** `uid:gid` under which pods' files appear on this server's mount, where the volume maps ids. */
  volumeOwner?: string | undefined;
  /** The agent's setting of this name: below `dataRoot` only files are read that its pods may read. */
  runAsUser?: unknown;
}

/** What of a prompt's files could be read. */
export interface PromptFiles {
  instructions: string;
  /** In the order of the request, without those that could not be read. */
  skills: string[];
  /** One for each file that was left out. */
  warnings: string[];
}

/** A folder of skills. */
export interface SkillFolder {
  /** `null`: none of the folders can be read. */
  folder: string | null;
  /** Names of the folders in it. */
  skills: string[];
  /** Its other names. */
  others: string[];
}

/** What this process holds. */
export interface HeldResources {
  /** Watches of API servers. */
  watches: number;
  /** Agents that have a run. */
  agents: number;
  /** Runs that have a place in their namespace, or wait for one. */
  places: number;
  /** Files that are followed. */
  tails: number;
  /** Threads that hang on a mount that does not answer. */
  stuckThreads: number;
}
