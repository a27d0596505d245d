/** The options of a local cluster: the same for the process and for its client. */

import type { ImageOptions } from "./node/container-setup.js";

export interface ClusterOptions {
  /** The folder behind the claim `paperclip-data`; default `<root>/data`. */
  dataDir?: string;
  /** Default `paperclip`, with the pod `paperclip-0` in it. */
  namespace?: string;
  /** A free port by default. */
  port?: number;
  /** A folder that comes first in every container's PATH: where `opencode` is. */
  binDir?: string;
  /** Per image: another `binDir`, the environment of the image, its entrypoint. */
  images?: Record<string, ImageOptions>;
  /** How a container sees its mounts; see README.md. Default: LOCAL_CLUSTER_MAPPING, or `text`. */
  mapping?: "text" | "mount";
  /** Storage classes that have volumes; claims of others stay Pending. Default `["standard"]`. */
  storageClasses?: string[];
  /**
   * In which order statuses change at an end: `1.20` tells all of a pod at once, and its Job's end while pods end;
   * `current` (1.31 and later) tells the container before the phase, and SuccessCriteriaMet or FailureTarget before
   * Complete or Failed, which come when no pod runs. Default: LOCAL_CLUSTER_ORDER, or `1.20`.
   */
  order?: "1.20" | "current";
  /** What a pod deleted before its end means for its Job: `replaced`, as before 1.26; with `current` `fails-job`. */
  deletedPod?: "replaced" | "fails-job";
  /** Env, annotations and so on that the own pod has besides its usual ones, as a merge patch on the Pod. */
  ownPod?: object;
  /** Removes the root at the end. */
  temporary?: boolean;
}

/** What the process says once it is ready. */
export interface Ready {
  url: string;
  control: string;
  kubeconfig: string;
  adminKubeconfig: string;
  adminToken: string;
  dataDir: string;
  mapping: "text" | "mount";
}
