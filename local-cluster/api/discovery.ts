/** What a client may ask before its first real request: versions and lists of resources. kubectl needs them. */

import { RESOURCES, REVIEWS } from "./resources.js";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

function resourceList(group: string): object {
  const resources = Object.values(RESOURCES)
    .filter((resource) => resource.group === group)
    .map(({ plural, kind, namespaced, shortNames }) => ({
      name: plural,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      shortNames,
      verbs: VERBS,
    }));
  const groupVersion = group ? `${group}/v1` : "v1";
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion, resources };
}

export function discovery(path: string, url: string): object | undefined {
  switch (path.replace(/\/$/, "")) {
    case "/version":
      return {
        major: "1",
        minor: "32",
        gitVersion: "v1.32.0-local-cluster",
        platform: `${process.platform}/${process.arch}`,
      };
    case "/healthz":
    case "/readyz":
    case "/livez":
      return { status: "ok" };
    case "/api":
      return {
        kind: "APIVersions",
        versions: ["v1"],
        serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: new URL(url).host }],
      };
    case "/apis": {
      const groups = ["batch", REVIEWS.group].map((name) => {
        const version = { groupVersion: `${name}/v1`, version: "v1" };
        return { name, versions: [version], preferredVersion: version };
      });
      return { kind: "APIGroupList", apiVersion: "v1", groups };
    }
    case "/api/v1":
      return resourceList("");
    case "/apis/batch/v1":
      return resourceList("batch");
    case `/apis/${REVIEWS.group}/v1`: {
      const review = {
        name: REVIEWS.plural,
        singularName: "",
        namespaced: false,
        kind: REVIEWS.kind,
        verbs: ["create"],
      };
      return { kind: "APIResourceList", apiVersion: "v1", groupVersion: `${REVIEWS.group}/v1`, resources: [review] };
    }
    default:
      return undefined;
  }
}
