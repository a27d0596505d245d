/** What the checks see of the cluster: none of it goes through the code under test. */
import type { Kubectl } from "./kubectl.js";

/** What all objects of the adapter carry. */
const OURS = "paperclip.io/adapter-type=opencode_k8s";

/** The part of a Kubernetes object that is looked at. */
export interface KubeObject {
  metadata: { name: string; uid?: string };
  spec?: Record<string, unknown>;
  status?: { phase?: string };
}

/** Whose objects; the run counts before its agent. */
type Owner = { companyId: string } | { agentId: string } | { runId: string };

/** Looks into the namespace. */
export class ClusterView {
  constructor(private readonly kubectl: Kubectl) {}

  /** The same in another namespace. */
  in(namespace: string): ClusterView {
    return new ClusterView(this.kubectl.in(namespace));
  }

  /** The Jobs, pods or Secrets of the adapter for one company, one agent or one run. */
  async ours(kind: "jobs" | "pods" | "secrets", of: Owner): Promise<KubeObject[]> {
    const { runId, agentId, companyId } = of as Partial<Record<string, string>>;
    const owner = runId ? `run-id=${runId}` : agentId ? `agent-id=${agentId}` : `company-id=${companyId}`;
    const selector = `${OURS},paperclip.io/${owner}`;
    return (await this.kubectl.json<{ items: KubeObject[] }>(["get", kind, "-l", selector, "-o", "json"])).items;
  }
}
