/** What the API checks of a pod's spec, in a Pod or in a Job's template. */

import type { PodSpec, Volume } from "../objects.js";
import { checkContainer } from "./container.js";
import { checkLabels, checkLabelName, checkSubdomain } from "./names.js";
import type { Problems } from "./problems.js";

const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export function checkPodSpec(problems: Problems, field: string, spec: PodSpec): void {
  const volumes = checkVolumes(problems, `${field}.volumes`, spec.volumes ?? []);
  if (!spec.containers?.length) problems.required(`${field}.containers`);
  const seen = new Set<string>();
  for (const group of ["containers", "initContainers"] as const) {
    for (const [index, container] of (spec[group] ?? []).entries()) {
      const at = `${field}.${group}[${index}]`;
      checkContainer(problems, at, container, volumes);
      const { restartPolicy } = container;
      if (restartPolicy && group === "containers")
        problems.forbidden(`${at}.restartPolicy`, "may not be set for non-init containers");
      else if (restartPolicy && restartPolicy !== "Always")
        problems.unsupported(`${at}.restartPolicy`, restartPolicy, ["Always"]);
      if (container.name && seen.has(container.name)) problems.duplicate(`${at}.name`, container.name);
      seen.add(container.name);
      const user = container.securityContext?.runAsUser;
      if (user < 0)
        problems.invalid(`${at}.securityContext.runAsUser`, user, "must be between 0 and 2147483647, inclusive");
    }
  }
  if (!["Always", "OnFailure", "Never"].includes(spec.restartPolicy!))
    problems.unsupported(`${field}.restartPolicy`, spec.restartPolicy, ["Always", "OnFailure", "Never"]);
  const dns = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
  if (!dns.includes(spec.dnsPolicy)) problems.unsupported(`${field}.dnsPolicy`, spec.dnsPolicy, dns);
  if (
    spec.activeDeadlineSeconds !== undefined &&
    (spec.activeDeadlineSeconds < 1 || spec.activeDeadlineSeconds > 2147483647)
  ) {
    problems.invalid(
      `${field}.activeDeadlineSeconds`,
      spec.activeDeadlineSeconds,
      "must be between 1 and 2147483647, inclusive",
    );
  }
  if (spec.securityContext?.runAsUser < 0)
    problems.invalid(
      `${field}.securityContext.runAsUser`,
      spec.securityContext.runAsUser,
      "must be between 0 and 2147483647, inclusive",
    );
  if (spec.serviceAccountName) checkSubdomain(problems, `${field}.serviceAccountName`, spec.serviceAccountName);
  for (const [index, option] of (spec.dnsConfig?.options ?? []).entries()) {
    if (!option.name) problems.required(`${field}.dnsConfig.options[${index}]`, "must not be empty");
  }
  checkLabels(problems, `${field}.nodeSelector`, spec.nodeSelector);
  for (const [index, toleration] of (spec.tolerations ?? []).entries())
    checkToleration(problems, `${field}.tolerations[${index}]`, toleration);
}

function checkVolumes(problems: Problems, field: string, volumes: Volume[]): Set<string> {
  const names = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const at = `${field}[${index}]`;
    const sources = Object.keys(volume).filter((key) => key !== "name");
    if (!volume.name) problems.required(`${at}.name`);
    else checkLabelName(problems, `${at}.name`, volume.name);
    if (names.has(volume.name)) problems.duplicate(`${at}.name`, volume.name);
    names.add(volume.name);
    if (sources.length === 0) problems.required(at, "must specify a volume type");
    if (sources.length > 1) problems.forbidden(`${at}.${sources[1]}`, "may not specify more than 1 volume type");
    if (volume.persistentVolumeClaim && !volume.persistentVolumeClaim.claimName)
      problems.required(`${at}.persistentVolumeClaim.claimName`);
    if (volume.secret && !volume.secret.secretName) problems.required(`${at}.secret.secretName`);
    if (volume.configMap && !volume.configMap.name) problems.required(`${at}.configMap.name`);
  }
  return names;
}

function checkToleration(problems: Problems, field: string, toleration: any): void {
  const { key, operator = "", value, effect, tolerationSeconds } = toleration;
  if (key) checkLabels(problems, `${field}.key`, { [key]: "" });
  else if (operator !== "Exists")
    problems.invalid(
      `${field}.operator`,
      operator,
      'operator must be Exists when `key` is empty, which means "match all values and all keys"',
    );
  if (!["", "Equal", "Exists"].includes(operator))
    problems.unsupported(`${field}.operator`, operator, ["Equal", "Exists"]);
  else if (operator === "Exists" && value)
    problems.invalid(`${field}.operator`, toleration, "value must be empty when `operator` is 'Exists'");
  if (tolerationSeconds !== undefined && effect !== "NoExecute") {
    problems.invalid(`${field}.effect`, effect ?? "", "effect must be 'NoExecute' when `tolerationSeconds` is set");
  }
  if (effect && !EFFECTS.includes(effect)) problems.unsupported(`${field}.effect`, effect, EFFECTS);
}
