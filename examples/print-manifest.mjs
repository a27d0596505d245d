// Prints the Kubernetes Job of a run, without a cluster:
// node examples/print-manifest.mjs | kubectl apply --dry-run=client -f -
//
// `ctx` is what Paperclip hands to `execute`; `selfPod` is what the adapter reads from the server's own pod.

import { buildJobManifest } from "paperclip-adapter-opencode-k8s";

const ctx = {
  runId: "run-1",
  agent: { id: "agent-1", companyId: "company-1", name: "Ada", adapterType: "opencode_k8s", adapterConfig: {} },
  runtime: { sessionId: null, sessionParams: null, sessionDisplayId: null, taskKey: null },
  config: {
    model: "anthropic/claude-sonnet-4-6",
    promptTemplate: "You are {{agent.name}}.",
    resources: { requests: { cpu: "500m" } },
  },
  context: { issueId: "issue-1" },
  onLog: async () => {},
};

const selfPod = {
  namespace: "paperclip",
  image: "paperclip/paperclip:latest",
  imagePullSecrets: [],
  dnsConfig: undefined,
  pvcClaimName: "paperclip-data",
  secretVolumes: [],
  inheritedEnv: {},
  inheritedEnvValueFrom: [],
  inheritedEnvFrom: [],
};

const { job } = buildJobManifest({ ctx, selfPod });
console.log(JSON.stringify(job, null, 2));
