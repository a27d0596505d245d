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
  /** What a pod deleted before its end means for its Job. Default `replaced`, as before Kubernetes 1.26. */
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
