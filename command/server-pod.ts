/** The environment test in the server's pod, from outside: only there rights, volume and addresses are the server's. */
import type { AdapterEnvironmentTestResult } from "@paperclipai/adapter-utils";

import { type Access, type Ended, kubectl } from "./kubectl.js";

const HOME = `\${PAPERCLIP_HOME:-/paperclip}`;
const PACKAGE = "node_modules/paperclip-adapter-opencode-k8s";
/** Where Paperclip installs it from a registry, and where the README puts it without one. */
const FOLDERS = `"${HOME}/adapter-plugins/${PACKAGE}" "${HOME}/adapter/${PACKAGE}"`;
const MISSING = "the adapter is not installed there (Settings > Adapters)";
const DOCTOR = `for folder in ${FOLDERS}; do
  [ -f "$folder/dist/command.js" ] && cd "$folder" && exec node dist/command.js doctor --json --config -
done
echo '${MISSING}' >&2; exit 1`;
/** The server's container, where its pod has more than one. */
const CONTAINER = "paperclip";
/** What kubectl says of a pod without it. */
const OTHER_CONTAINER = /container "?paperclip"? (is not valid|not found)/;
/** A server without a pod is said soon, and by kubectl: its own minute is as long as it is waited for. */
const READY_SOON = "--pod-running-timeout=15s";
/** What the server is when nobody says it. */
const USUAL = ["deployment/paperclip", "statefulset/paperclip"];

/** Whether this process is neither in a pod nor told, as a server outside of one is, where it stands. */
export function isOutside(dataRoot: string | undefined): boolean {
  const { env } = process;
  const told = [dataRoot, env["KUBERNETES_SERVICE_HOST"], env["POD_NAME"], env["PAPERCLIP_K8S_DATA_ROOT"]];
  return told.every((value) => !value);
}

/** Makes the test there; throws with what keeps it from being made. */
export async function testInServerPod(
  access: Access,
  server: string | undefined,
  config: Record<string, unknown>,
): Promise<AdapterEnvironmentTestResult> {
  let ended: Ended = { stdout: "", failure: "" };
  for (const workload of server === undefined ? USUAL : [server]) {
    ended = await inServer(access, [workload, "-c", CONTAINER], config);
    if (OTHER_CONTAINER.test(ended.failure ?? "")) ended = await inServer(access, [workload], config);
    const result = readResult(ended.stdout);
    if (result !== undefined) return result;
    if (!ended.failure?.includes("NotFound")) throw new Error(advice(workload, ended, access));
  }
  throw new Error(`the server was not found (${ended.failure}); --server KIND/NAME and --namespace say where it is`);
}

function inServer(access: Access, server: string[], config: object): Promise<Ended> {
  return kubectl(access, ["exec", "-i", READY_SOON, ...server, "--", "sh", "-c", DOCTOR], JSON.stringify(config));
}

/** A test that found errors ends with status 1, which is a failure to kubectl. */
function readResult(stdout: string): AdapterEnvironmentTestResult | undefined {
  try {
    const result = JSON.parse(stdout) as AdapterEnvironmentTestResult;
    return Array.isArray(result.checks) ? result : undefined;
  } catch {
    return undefined;
  }
}

function advice(workload: string, { failure, stdout }: Ended, { namespace }: Access): string {
  const where = namespace === undefined ? "" : ` -n ${namespace}`;
  const said = failure ?? `it printed ${JSON.stringify(stdout.slice(0, 80))}`;
  return `the test cannot be made in ${workload}: ${said}
Is it the right cluster, and the server's pod ready? Look there:
kubectl config current-context; kubectl${where} get pods`;
}
