/** The kinds that this stand-in serves, and how a request path names them. */

import type { Named } from "./status.js";

export interface Resource extends Named {
  version: string;
  namespaced: boolean;
  shortNames: string[];
  /** What a delete without `propagationPolicy` does to dependents. batch/v1 keeps them, for compatibility. */
  defaultPropagation: "Background" | "Orphan";
}

function resource(plural: string, kind: string, more: Partial<Resource> = {}): Resource {
  return {
    plural,
    kind,
    group: "",
    version: "v1",
    namespaced: true,
    shortNames: [],
    defaultPropagation: "Background",
    ...more,
  };
}

export const RESOURCES: Record<string, Resource> = Object.fromEntries(
  [
    resource("jobs", "Job", { group: "batch", defaultPropagation: "Orphan" }),
    resource("pods", "Pod", { shortNames: ["po"] }),
    resource("secrets", "Secret"),
    resource("events", "Event", { shortNames: ["ev"] }),
    resource("resourcequotas", "ResourceQuota", { shortNames: ["quota"] }),
    resource("configmaps", "ConfigMap", { shortNames: ["cm"] }),
    resource("persistentvolumeclaims", "PersistentVolumeClaim", { shortNames: ["pvc"] }),
    resource("namespaces", "Namespace", { namespaced: false, shortNames: ["ns"] }),
  ].map((entry) => [entry.plural, entry]),
);

export const REVIEWS: Named = {
  plural: "selfsubjectaccessreviews",
  kind: "SelfSubjectAccessReview",
  group: "authorization.k8s.io",
};

export interface Target {
  group: string;
  plural: string;
  namespace?: string;
  name?: string;
  subresource?: string;
}

/** `/apis/batch/v1/namespaces/NS/jobs/NAME/status` -> its parts; undefined for no path of an object or collection. */
export function parsePath(path: string): Target | undefined {
  const parts: string[] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const [root, second, third] = parts;
  const core = root === "api" && second === "v1";
  if (!core && !(root === "apis" && third === "v1")) return undefined;
  const group = core ? "" : second!;
  const rest = parts.slice(core ? 2 : 3);
  if (rest[0] === "namespaces" && rest.length > 2 && !["status", "finalize"].includes(rest[2]!)) {
    const [, namespace, plural, name, subresource] = rest as [string, string, string, string?, string?];
    return { group, plural, namespace, ...(name ? { name } : {}), ...(subresource ? { subresource } : {}) };
  }
  const [plural, name, subresource] = rest;
  if (!plural) return undefined;
  return { group, plural, ...(name ? { name } : {}), ...(subresource ? { subresource } : {}) };
}
