/** What the checks see of the cluster, through kubectl: none of it goes through the code under test. */
import { command } from "./command.js";
import type { Options } from "./options.js";

/** What all objects of the adapter carry. */
const OURS = "paperclip.io/adapter-type=opencode_k8s";

/** The part of a Kubernetes object that is looked at. */
export interface KubeObject {
  metadata: { name: string; labels?: Record<string, string> };
  status?: { phase?: string };
}

/** Looks into the namespace. */
export class ClusterView {
  constructor(private readonly options: Options) {}

  /** The Jobs, pods or Secrets of the adapter, of one run if it is named. */
  async ours(kind: "jobs" | "pods" | "secrets", runId?: string): Promise<KubeObject[]> {
    const selector = runId === undefined ? OURS : `${OURS},paperclip.io/run-id=${runId}`;
    const text = await this.kubectl("get", kind, "-l", selector, "-o", "json");
    return (JSON.parse(text) as { items: KubeObject[] }).items;
  }

  /** Fails when the namespace, the claim's pod or the rights to look are missing. */
  async check(): Promise<void> {
    await this.kubectl("get", "pod", this.options.ownPod, "-o", "name");
    await this.kubectl("get", "secrets", "-o", "name");
  }

  private kubectl(...args: string[]): Promise<string> {
    const { kubectl, adminKubeconfig, namespace } = this.options;
    return command(kubectl, ["--kubeconfig", adminKubeconfig, "-n", namespace, ...args], { timeoutMs: 30_000 });
  }
}
