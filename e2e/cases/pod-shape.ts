/** An agent whose settings shape its pod: each field is in the Job of the API server, and the pod works with it. */
import { isDeepStrictEqual } from "node:util";

import { PRINTED } from "../provider/scripts.js";
import { describe, type Stage } from "../stage.js";
import { until } from "../wait.js";

const PATCH = `
hostAliases: [{ip: 192.0.2.7, hostnames: [tracker.company]}]
volumes: [{name: notes, configMap: {name: company}}]
containers:
- name: opencode
  volumeMounts: [{name: notes, mountPath: /etc/notes}]
`;

const SPREAD = { maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" };
const AFFINITY = {
  nodeAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 1, preference: { matchExpressions: [{ key: "kubernetes.io/os", operator: "In", values: ["linux"] }] } },
    ],
  },
};

/** What the Job must have, by path. */
function wanted(namespace: string): Record<string, unknown> {
  return {
    priorityClassName: `${namespace}-agents`,
    affinity: AFFINITY,
    "topologySpreadConstraints.0.topologyKey": SPREAD.topologyKey,
    "imagePullSecrets.0.name": "registry-of-the-company",
    nodeSelector: { "kubernetes.io/os": "linux" },
    serviceAccountName: "agents",
    "hostAliases.0.hostnames.0": "tracker.company",
    "securityContext.runAsNonRoot": true,
    "securityContext.seccompProfile.type": "RuntimeDefault",
    "containers.0.resources.requests.ephemeral-storage": "64Mi",
    "containers.0.resources.limits.ephemeral-storage": "1Gi",
    "initContainers.0.resources.limits.memory": "96Mi",
  };
}

export async function podShape(stage: Stage): Promise<void> {
  const { namespace } = stage.options;
  if (!stage.server)
    return stage.skip("fields of the pod", "in the Job", "not made: the cluster's objects are not ours");
  const worker = await stage.company.putToWork("Shaped", "looks-around", {
    priorityClassName: `${namespace}-agents`,
    affinity: AFFINITY,
    topologySpreadConstraints: [{ ...SPREAD, labelSelector: { matchLabels: { team: "e2e" } } }],
    imagePullSecrets: "registry-of-the-company",
    nodeSelector: { "kubernetes.io/os": "linux" },
    serviceAccountName: "agents",
    labels: { team: "e2e" },
    "resources.requests.ephemeral-storage": "64Mi",
    "resources.limits.ephemeral-storage": "1Gi",
    "initResources.limits.memory": "96Mi",
    podSpecPatch: PATCH,
  });
  await stage.check("fields that shape the pod", "each in the Job that the API server has", async () => {
    const [job] = await until("the Job", 60, async () => {
      const jobs = await stage.cluster.ours("jobs", worker);
      return jobs.length > 0 ? jobs : null;
    });
    const spec = at(job, "spec.template.spec");
    const fields = Object.entries(wanted(namespace));
    const other = fields.filter(([path, value]) => !isDeepStrictEqual(at(spec, path), value));
    const named = other.map(([path]) => `${path} is ${JSON.stringify(at(spec, path))}`);
    return {
      seen: [`${fields.length - other.length} of ${fields.length} fields`, ...named].join("; "),
      ok: other.length === 0,
    };
  });
  await stage.check("its agent", "has the volume, the host's alias and the account's token", async () => {
    const { run, stdout } = await stage.ended(worker.runId);
    const marks = ["a note of the company", "tracker.company", `${PRINTED} a token`];
    const missing = marks.filter((mark) => !stdout.includes(mark));
    const seen = `${describe(run)}; missing: ${missing.join(", ") || "nothing"}`;
    return { seen, ok: run.status === "succeeded" && missing.length === 0 };
  });
  await stage.check("a patch of what a run depends on", "refused by name, and no Job is made", async () => {
    const refused = await stage.company.putToWork("Unruly", "works", { podSpecPatch: "restartPolicy: Always" });
    const { run } = await stage.ended(refused.runId);
    await stage.company.dismiss(refused);
    const jobs = await stage.cluster.ours("jobs", refused);
    const isNamed = run.errorCode === "k8s_config_invalid" && /restartPolicy/.test(run.error ?? "");
    return { seen: `${describe(run)}; ${jobs.length} Jobs`, ok: isNamed && jobs.length === 0 };
  });
}

/** The value at a path of keys and numbers. */
function at(value: unknown, path: string): unknown {
  return path.split(/\.(?!io)/).reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}
