/** What the checks see of the cluster: none of it goes through the code under test. */
import type { Kubectl } from "./kubectl.js";

/** What all objects of the adapter carry. */
const OURS = "paperclip.io/adapter-type=opencode_k8s";

/** The part of a Kubernetes object that is looked at. */
export interface KubeObject {
  metadata: { name: string };
  spec?: Record<string, unknown>;
  status?: { phase?: string };
}

/** Looks into the namespace. */
export class ClusterView {
  constructor(private readonly kubectl: Kubectl) {}

  /** The same in another namespace. */
  in(namespace: string): ClusterView {
    return new ClusterView(this.kubectl.in(namespace));
  }

  /** The Jobs, pods or Secrets of the adapter for one company or one run. */
  async ours(kind: "jobs" | "pods" | "secrets", of: { companyId: string } | { runId: string }): Promise<KubeObject[]> {
    const owner = "runId" in of ? `run-id=${of.runId}` : `company-id=${of.companyId}`;
    const selector = `${OURS},paperclip.io/${owner}`;
    return (await this.kubectl.json<{ items: KubeObject[] }>(["get", kind, "-l", selector, "-o", "json"])).items;
  }
}
