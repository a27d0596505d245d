/** What the API server fills in that a client left out. */

import type { Container, Job, KubeObject, PodSpec } from "../objects.js";

export function setDefaults(object: KubeObject): void {
  switch (object.kind) {
    case "Job":
      return jobDefaults(object as Job);
    case "Pod":
      podDefaults(object.spec);
      object.status = { phase: "Pending", qosClass: "Burstable" };
      return;
    case "Secret":
      return secretDefaults(object);
    case "PersistentVolumeClaim":
      if (object.spec) object.spec.volumeMode ??= "Filesystem";
      object.status = { phase: "Pending" };
      return;
    case "Namespace":
      object.spec = { finalizers: ["kubernetes"] };
      object.metadata.labels = { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name };
      object.status = { phase: "Active" };
  }
}

function jobDefaults(job: Job): void {
  const { spec } = job;
  job.status = {};
  if (!spec) return;
  spec.parallelism ??= 1;
  spec.completions ??= 1;
  spec.backoffLimit ??= 6;
  spec.completionMode ??= "NonIndexed";
  spec.suspend ??= false;
  if (spec.template?.spec) podDefaults(spec.template.spec);
  // A Job without labels takes those of its pods.
  const { labels } = job.metadata;
  if (!labels || Object.keys(labels).length === 0)
    Object.assign(
      job.metadata,
      spec.template?.metadata?.labels ? { labels: { ...spec.template.metadata.labels } } : {},
    );
}

/** What can only be filled in once the Job has its uid. */
export function jobIdentity(job: Job): void {
  const { uid, name } = job.metadata;
  const marks = {
    "batch.kubernetes.io/controller-uid": uid,
    "batch.kubernetes.io/job-name": name ?? "",
    "controller-uid": uid,
    "job-name": name ?? "",
  };
  job.spec.selector ??= { matchLabels: { "batch.kubernetes.io/controller-uid": uid } };
  job.spec.template.metadata ??= {};
  job.spec.template.metadata.labels = { ...job.spec.template.metadata.labels, ...marks };
}

function podDefaults(spec: PodSpec): void {
  spec.restartPolicy ??= "Always";
  spec.terminationGracePeriodSeconds ??= 30;
  spec.dnsPolicy ??= "ClusterFirst";
  spec.securityContext ??= {};
  spec.schedulerName ??= "default-scheduler";
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) containerDefaults(container);
  for (const volume of spec.volumes ?? []) {
    if (Object.keys(volume).every((field) => field === "name")) volume.emptyDir = {};
    for (const source of [volume.secret, volume.configMap]) if (source) source.defaultMode ??= 420;
  }
}

function containerDefaults(container: Container): void {
  container.terminationMessagePath ??= "/dev/termination-log";
  container.terminationMessagePolicy ??= "File";
  container.resources ??= {};
  const { limits, requests } = container.resources;
  if (limits) container.resources.requests = { ...limits, ...requests };
  // A tag may move: only `latest`, said or unsaid, is pulled again.
  const tag = /:([^/:@]+)(@|$)/.exec(container.image ?? "")?.[1];
  container.imagePullPolicy ??= tag === undefined || tag === "latest" ? "Always" : "IfNotPresent";
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) Object.assign(valueFrom.fieldRef, { apiVersion: "v1", ...valueFrom.fieldRef });
  }
}

function secretDefaults(secret: KubeObject): void {
  secret.type ??= "Opaque";
  for (const [key, text] of Object.entries((secret.stringData ?? {}) as Record<string, string>)) {
    secret.data = { ...secret.data, [key]: Buffer.from(text).toString("base64") };
  }
  delete secret.stringData;
}
