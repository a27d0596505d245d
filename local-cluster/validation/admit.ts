/** The way of a new object into the store: read as its kind, filled with defaults, judged, given its identity. */

import { randomUUID } from "node:crypto";
import type { Job, KubeObject } from "../objects.js";
import { generatedName } from "../objects.js";
import type { Resource } from "../api/resources.js";
import { badRequest } from "../api/status.js";
import { jobIdentity, setDefaults } from "./defaults.js";

export function admit(resource: Resource, namespace: string | undefined, body: unknown): KubeObject {
  if (typeof body !== "object" || body === null) throw badRequest("no body");
  const object = structuredClone(body) as KubeObject;
  object.metadata ??= {} as KubeObject["metadata"];
  if (namespace) object.metadata.namespace = namespace;
  setDefaults(object);
  object.metadata.uid = randomUUID();
  if (!object.metadata.name && object.metadata.generateName) object.metadata.name = generatedName(object.metadata.generateName);
  if (resource.plural === "jobs") jobIdentity(object as Job);
  return object;
}
export function checkUpdate(_r: Resource, _current: KubeObject, wanted: KubeObject, _sub?: string): KubeObject {
  return wanted;
}
