/** What the API checks of a container. */

import type { Container, EnvVar, VolumeMount } from "../objects.js";
import { checkConfigKey, checkEnvName, checkLabelName, checkSubdomain } from "./names.js";
import type { Problems } from "./problems.js";
import { amount } from "./quantity.js";

const FIELD_PATHS: string[] = [
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
];

export function checkContainer(problems: Problems, field: string, container: Container, volumes: Set<string>): void {
  if (!container.name) problems.required(`${field}.name`);
  else checkLabelName(problems, `${field}.name`, container.name);
  if (!container.image) problems.required(`${field}.image`);
  const policy = container.imagePullPolicy;
  if (!["Always", "IfNotPresent", "Never"].includes(policy))
    problems.unsupported(`${field}.imagePullPolicy`, policy, ["Always", "IfNotPresent", "Never"]);
  const message = container.terminationMessagePolicy;
  if (message !== "File" && message !== "FallbackToLogsOnError") {
    problems.invalid(`${field}.terminationMessagePolicy`, message, "must be 'File' or 'FallbackToLogsOnError'");
  }
  for (const [index, variable] of (container.env ?? []).entries())
    checkEnv(problems, `${field}.env[${index}]`, variable);
  for (const [index, source] of (container.envFrom ?? []).entries()) {
    const at = `${field}.envFrom`;
    const given = [source.secretRef, source.configMapRef].filter(Boolean);
    if (given.length !== 1)
      problems.invalid(
        at,
        "",
        given.length === 0
          ? "must specify one of: `configMapRef` or `secretRef`"
          : "may not have more than one field specified at a time",
      );
    if (source.prefix) checkEnvName(problems, `${at}[${index}].prefix`, source.prefix);
  }
  checkMounts(problems, field, container.volumeMounts ?? [], volumes);
  checkResources(problems, `${field}.resources`, container);
}

function checkEnv(problems: Problems, field: string, { name, value, valueFrom }: EnvVar): void {
  if (!name) problems.required(`${field}.name`);
  else checkEnvName(problems, `${field}.name`, name);
  if (!valueFrom) return;
  const sources = Object.keys(valueFrom);
  const at = `${field}.valueFrom`;
  if (sources.length === 0)
    problems.invalid(
      at,
      "",
      "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
    );
  else if (value) problems.invalid(at, "", "may not be specified when `value` is not empty");
  else if (sources.length > 1) problems.invalid(at, "", "may not have more than one field specified at a time");
  for (const kind of ["secretKeyRef", "configMapKeyRef"] as const) {
    const reference = valueFrom[kind];
    if (!reference) continue;
    checkSubdomain(problems, `${at}.${kind}.name`, reference.name ?? "");
    if (!reference.key) problems.required(`${at}.${kind}.key`);
    else checkConfigKey(problems, `${at}.${kind}.key`, reference.key);
  }
  const path = valueFrom.fieldRef?.fieldPath;
  if (valueFrom.fieldRef && !path) problems.required(`${at}.fieldRef.fieldPath`);
  else if (path && !FIELD_PATHS.includes(path) && !/^metadata\.(labels|annotations)\['.*'\]$/.test(path)) {
    problems.invalid(
      `${at}.fieldRef.fieldPath`,
      path,
      `error converting fieldPath: field label not supported: ${path}`,
    );
  }
}

function checkMounts(problems: Problems, field: string, mounts: VolumeMount[], volumes: Set<string>): void {
  const seen = new Set<string>();
  for (const [index, mount] of mounts.entries()) {
    const at = `${field}.volumeMounts[${index}]`;
    if (!mount.name) problems.required(`${at}.name`);
    else if (!volumes.has(mount.name)) problems.notFound(`${at}.name`, mount.name);
    if (!mount.mountPath) problems.required(`${at}.mountPath`);
    else if (seen.has(mount.mountPath)) problems.invalid(`${at}.mountPath`, mount.mountPath, "must be unique");
    seen.add(mount.mountPath);
    for (const name of ["subPath", "subPathExpr"] as const) {
      const path = mount[name];
      if (!path) continue;
      // Without the mount's index: that is how the API writes it.
      const where = `${field}.volumeMounts.${name}`;
      if (path.startsWith("/")) problems.invalid(where, path, "must be a relative path");
      if (path.split("/").includes("..")) problems.invalid(where, path, "must not contain '..'");
    }
    if (mount.subPath && mount.subPathExpr)
      problems.invalid(`${at}.subPathExpr`, mount.subPathExpr, "subPathExpr and subPath are mutually exclusive");
  }
}

function checkResources(problems: Problems, field: string, { resources = {} }: Container): void {
  const { limits = {}, requests = {} } = resources as {
    limits?: Record<string, string>;
    requests?: Record<string, string>;
  };
  for (const [group, quantities] of Object.entries({ limits, requests })) {
    for (const [name, quantity] of Object.entries(quantities)) {
      const at = `${field}.${group}[${name}]`;
      if (!/^(cpu|memory|ephemeral-storage|hugepages-.+)$/.test(name) && !name.includes("/")) {
        problems.invalid(at, name, "must be a standard resource type or fully qualified");
      }
      if (amount(quantity) < 0) problems.invalid(at, quantity, "must be greater than or equal to 0");
    }
  }
  for (const [name, quantity] of Object.entries(requests)) {
    const limit = limits[name];
    if (limit !== undefined && amount(quantity) > amount(limit)) {
      problems.invalid(`${field}.requests`, quantity, `must be less than or equal to ${name} limit of ${limit}`);
    }
  }
}
