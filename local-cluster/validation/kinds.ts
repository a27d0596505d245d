/** What the API checks of each kind, and of a change to one. */

import type { Job, KubeObject } from "../objects.js";
import { checkAnnotations, checkConfigKey, checkLabels } from "./names.js";
import { checkPodSpec } from "./pod-spec.js";
import type { Problems } from "./problems.js";
import { amount } from "./quantity.js";

const SECRET_BYTES = 1024 * 1024;
const ACCESS_MODES = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

export function checkKind(problems: Problems, object: KubeObject): void {
  switch (object.kind) {
    case "Job":
      return checkJob(problems, object as Job);
    case "Pod":
      if (!object.spec) return problems.required("spec.containers");
      return checkPodSpec(problems, "spec", object.spec);
    case "Secret":
    case "ConfigMap":
      return checkData(problems, object);
    case "PersistentVolumeClaim":
      return checkClaim(problems, object);
  }
}

function checkJob(problems: Problems, { spec }: Job): void {
  for (const field of [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
  ] as const) {
    if ((spec?.[field] ?? 0) < 0) problems.invalid(`spec.${field}`, spec[field], "must be greater than or equal to 0");
  }
  const template = spec?.template;
  const restartPolicy = "spec.template.spec.restartPolicy";
  const valid = 'valid values: "OnFailure", "Never"';
  if (!template?.spec) {
    problems.required("spec.template.spec.containers");
    return problems.required(restartPolicy, valid);
  }
  checkLabels(problems, "spec.template.labels", template.metadata?.labels);
  checkAnnotations(problems, "spec.template.annotations", template.metadata?.annotations);
  checkPodSpec(problems, "spec.template.spec", template.spec);
  const policy = template.spec.restartPolicy!;
  if (policy === "Always") problems.required(restartPolicy, valid);
  else if (policy !== "OnFailure" && policy !== "Never")
    problems.unsupported(restartPolicy, policy, ["OnFailure", "Never"]);
}

function checkData(problems: Problems, object: KubeObject): void {
  let size = 0;
  for (const [key, value] of Object.entries({ ...object.data, ...object.binaryData } as Record<string, string>)) {
    checkConfigKey(problems, `data[${key}]`, key);
    size += object.kind === "Secret" ? Buffer.byteLength(value, "base64") : Buffer.byteLength(value);
  }
  if (size > SECRET_BYTES) problems.tooLong(object.kind === "Secret" ? "data" : "", SECRET_BYTES);
}

function checkClaim(problems: Problems, { spec }: KubeObject): void {
  if (!spec?.accessModes?.length) problems.required("spec.accessModes", "at least 1 access mode is required");
  for (const mode of spec?.accessModes ?? [])
    if (!ACCESS_MODES.includes(mode)) problems.unsupported("spec.accessModes", mode, ACCESS_MODES);
  const storage = spec?.resources?.requests?.storage;
  if (storage === undefined) problems.required("spec.resources[storage]");
  else if (!(amount(storage) > 0)) problems.invalid("spec.resources[storage]", storage, "must be greater than zero");
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Fields that nobody may change once the object exists. */
export function checkImmutable(problems: Problems, before: KubeObject, after: KubeObject): void {
  const frozen = (field: string, a: unknown, b: unknown): void => {
    if (!same(a, b)) problems.invalid(field, b ?? null, "field is immutable");
  };
  frozen("metadata.name", before.metadata.name, after.metadata.name);
  frozen("metadata.uid", before.metadata.uid, after.metadata.uid);
  if (before.metadata.deletionTimestamp) {
    const added = (after.metadata.finalizers ?? []).filter(
      (finalizer) => !before.metadata.finalizers?.includes(finalizer),
    );
    if (added.length > 0)
      problems.forbidden(
        "metadata.finalizers",
        `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
      );
  }
  switch (before.kind) {
    case "Job":
      frozen("spec.template", before.spec.template, after.spec?.template);
      frozen("spec.selector", before.spec.selector, after.spec?.selector);
      frozen("spec.completions", before.spec.completions, after.spec?.completions);
      break;
    case "Pod":
      if (!same(before.spec, after.spec)) {
        problems.forbidden(
          "spec",
          "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`," +
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        );
      }
      break;
    case "Secret":
    case "ConfigMap":
      if (before.immutable && !same(before.data, after.data))
        problems.forbidden("data", "field is immutable when `immutable` is set");
      frozen("type", before.type, after.type);
      break;
    case "PersistentVolumeClaim":
      if (!same(before.spec, after.spec))
        problems.forbidden(
          "spec",
          "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        );
  }
}
