/** `pod-spec`: the Job that an agent's settings make. */
import type * as Adapter from "../adapter/index.js";
import type { Screen } from "./screen.js";

/** What the server's pod has, from which agents inherit theirs. */
const SERVERS_IMAGE = "paperclip/paperclip:latest";

/** Prints it as JSON; the exit status. What agents inherit from the server's pod is not known here. */
export function podSpec(
  { buildJobManifest, type }: Pick<typeof Adapter, "buildJobManifest" | "type">,
  config: Record<string, unknown>,
  { namespace = "paperclip", claim = "paperclip-data" },
  screen: Screen,
): number {
  const agent = { id: "agent", companyId: "company", name: "Agent", adapterType: type, adapterConfig: config };
  const { job } = buildJobManifest({
    ...databaseOf(config),
    ctx: {
      runId: "run",
      agent,
      runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
      config,
      context: { issueId: "task" },
      // What is changed or left out of the settings, which a run says in its log.
      onLog: async (_stream, line) => screen.note(line.replace(/^\[paperclip\] /, "").trimEnd()),
    },
    selfPod: {
      namespace,
      image: SERVERS_IMAGE,
      imagePullSecrets: [],
      dnsConfig: undefined,
      pvcClaimName: claim,
      secretVolumes: [],
      inheritedEnv: {},
      inheritedEnvValueFrom: [],
      inheritedEnvFrom: [],
    },
  });
  screen.print(JSON.stringify(job, null, 2));
  return 0;
}

const NO_CLASS =
  "No storage class: agentDbMode dedicated_pvc needs agentDbStorageClass. Set it, or use workspace_subpath";

/** Where sessions are kept, by settings that the addon reads as well: the run makes the claim, or the folder. */
function databaseOf({ agentDbMode, agentDbStorageClass }: Record<string, unknown>): {
  agentDbClaimName?: string | null;
  agentDbPath?: string;
} {
  const mode = agentDbMode || (agentDbStorageClass ? "dedicated_pvc" : "workspace_subpath");
  if (mode === "dedicated_pvc") {
    // In the words of a run: an agent's first one makes the claim.
    if (!agentDbStorageClass) throw new Error(NO_CLASS);
    return { agentDbClaimName: "opencode-db-agent" };
  }
  if (mode === "ephemeral") return { agentDbClaimName: null };
  return { agentDbPath: "/paperclip/instances/default/opencode-db/company/agent/task/opencode.db" };
}
