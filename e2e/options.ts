/** The settings of the end-to-end run from its environment, read once. `docs/e2e.md` describes each variable. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** The release of `paperclipai` that is started unless the environment names another. */
const PAPERCLIP_VERSION = "2026.916.1";

/** The Node that runs Paperclip where this machine's own is too old; a version of npm's `node-<platform>-<arch>`. */
const NODE_VERSION = "24.21.0";

/** Settings of one end-to-end run. */
export interface Options {
  /** Kubeconfig of somebody who may create a namespace and what is in it, and a volume. */
  kubeconfig: string;
  kubectl: string;
  /** The namespace of this run: created, and deleted with all that is in it. */
  namespace: string;
  /** Where this machine sees the shared volume: a folder of this run's own. */
  dataRoot: string;
  /** Where the cluster's node sees that folder. */
  nodePath: string;
  /** The agents' image, which holds opencode. */
  image: string;
  /** Address at which pods reach this machine. */
  podHost: string;
  /** Where this process listens for the pods. */
  listen: string;
  port: number;
  /** A server that already runs, instead of one of our own. */
  paperclipUrl: string | undefined;
  paperclipKey: string | undefined;
  paperclipVersion: string;
  nodeVersion: string;
  /** The user the server runs as, where this process is root. */
  user: string | undefined;
  /** Keeps installed packages from one run to the next. */
  cache: string;
  /** Keeps what a run made, for looking at it. */
  keep: boolean;
  /** Folder for pictures of the pages; `undefined`: none are taken. */
  pictures: string | undefined;
  /** The Chromium that takes them. */
  chromium: string;
  /** The registry that has the packed adapter. */
  registry: string;
  /** Names of the cases to run; empty: all. */
  only: string[];
}

/** Reads arguments and environment; throws with the names of what is missing. */
export function readOptions(args: string[], env: NodeJS.ProcessEnv = process.env): Options {
  const missing = ["KUBECONFIG", "E2E_DATA_ROOT", "E2E_HOST", "E2E_IMAGE"].filter((name) => !env[name]);
  if (missing.length > 0) throw new Error(`${missing.join(" and ")} must be set; docs/e2e.md says to what`);
  const { values, positionals } = parseArgs({
    args,
    options: { registry: { type: "string" }, pictures: { type: "string" } },
    allowPositionals: true,
  });
  if (!values.registry) throw new Error("--registry is missing: npm run e2e gives it");
  const text = (name: string): string => env[name] ?? "";
  return {
    kubeconfig: text("KUBECONFIG"),
    kubectl: env["E2E_KUBECTL"] || "kubectl",
    namespace: env["E2E_NAMESPACE"] || "paperclip-e2e",
    dataRoot: text("E2E_DATA_ROOT").replace(/\/$/, ""),
    nodePath: env["E2E_NODE_PATH"] || text("E2E_DATA_ROOT"),
    image: text("E2E_IMAGE"),
    podHost: text("E2E_HOST"),
    listen: env["E2E_LISTEN"] || "127.0.0.1",
    port: Number(env["E2E_PORT"] || 18180),
    paperclipUrl: env["PAPERCLIP_URL"]?.replace(/\/$/, "") || undefined,
    paperclipKey: env["PAPERCLIP_API_KEY"] || undefined,
    paperclipVersion: env["E2E_PAPERCLIP_VERSION"] || PAPERCLIP_VERSION,
    nodeVersion: env["E2E_NODE_VERSION"] || NODE_VERSION,
    user: env["E2E_USER"] || undefined,
    cache: env["E2E_CACHE"] || join(tmpdir(), "opencode-k8s-e2e"),
    keep: env["E2E_KEEP"] === "1",
    pictures: values.pictures,
    chromium: env["E2E_CHROMIUM"] || "chromium",
    registry: values.registry,
    only: positionals,
  };
}
