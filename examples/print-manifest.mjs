// Prints the Kubernetes Job of a run, without a cluster:
// node examples/print-manifest.mjs | kubectl apply --dry-run=client -f -
//
// `ctx` is what Paperclip hands to `execute`; `selfPod` is what the adapter reads from the server's own pod.

const { buildJobManifest } = await import("paperclip-adapter-opencode-k8s").catch(fail);

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
  // Warnings, about a field that is unknown for example.
  onLog: async (stream, line) => void process[stream].write(line),
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

// The reader of a pipe may end first.
process.stdout.on("error", () => process.exit(0));
try {
  console.log(JSON.stringify(buildJobManifest({ ctx, selfPod }).job, null, 2));
} catch (error) {
  fail(error);
}

function fail(error) {
  console.error(`print-manifest: ${error.message}`);
  process.exit(1);
}
