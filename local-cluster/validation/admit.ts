/** The way of an object into the store: read as its kind, filled with defaults, judged, given its identity. */

import { randomUUID } from "node:crypto";
import { generatedName, type Job, type KubeObject } from "../objects.js";
import type { Resource } from "../api/resources.js";
import { ApiError, badRequest, invalid } from "../api/status.js";
import { decode } from "./decode.js";
import { jobIdentity, setDefaults } from "./defaults.js";
import { checkImmutable, checkKind } from "./kinds.js";
import { checkMetadata } from "./names.js";
import { Problems } from "./problems.js";

// What etcd takes in one write.
const STORED_BYTES = 1.5 * 1024 * 1024;

/** Called with the paths of unknown fields: they are dropped, and the client gets a warning or a refusal. */
type OnUnknown = (fields: string[]) => void;

export function admit(
  resource: Resource,
  namespace: string | undefined,
  body: unknown,
  onUnknown: OnUnknown = () => {},
): KubeObject {
  const { object, unknown } = decode(resource, body);
  if (unknown.length > 0) onUnknown(unknown);
  const { metadata } = object;
  if (namespace !== undefined && metadata.namespace && metadata.namespace !== namespace) {
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
  }
  if (resource.namespaced) metadata.namespace = namespace!;
  metadata.uid = randomUUID();
  delete (metadata as Partial<typeof metadata>).resourceVersion;
  if (!metadata.name && metadata.generateName) metadata.name = generatedName(metadata.generateName);
  setDefaults(object);
  if (resource.plural === "jobs" && object.spec?.template) jobIdentity(object as Job);
  const problems = new Problems();
  checkMetadata(problems, resource, metadata);
  checkKind(problems, object);
  if (problems.causes.length > 0) throw invalid(resource, metadata.name ?? "", problems.causes);
  checkSize(object);
  return object;
}

/** A changed object, with what a client cannot change put back. */
export function checkUpdate(
  resource: Resource,
  current: KubeObject,
  wanted: KubeObject,
  subresource?: string,
): KubeObject {
  if (subresource === "status") return { ...current, status: wanted.status };
  const { object } = decode(resource, wanted);
  const {
    uid,
    creationTimestamp,
    deletionTimestamp,
    deletionGracePeriodSeconds,
    generation,
    resourceVersion,
    namespace,
  } = current.metadata;
  const next: KubeObject = { ...object, status: current.status };
  next.metadata = { ...object.metadata, uid: object.metadata.uid || uid, creationTimestamp, resourceVersion };
  for (const [field, value] of Object.entries({
    deletionTimestamp,
    deletionGracePeriodSeconds,
    generation,
    namespace,
  })) {
    if (value === undefined) delete next.metadata[field as "generation"];
    else Object.assign(next.metadata, { [field]: value });
  }
  if (next.kind === "Secret") {
    const { status } = next;
    setDefaults(next);
    next.status = status;
  }
  if (next.status === undefined) delete next.status;
  const problems = new Problems();
  checkMetadata(problems, resource, next.metadata);
  checkImmutable(problems, current, next);
  checkKind(problems, next);
  if (problems.causes.length > 0) throw invalid(resource, current.metadata.name, problems.causes);
  checkSize(next);
  return next;
}

function checkSize(object: KubeObject): void {
  if (Buffer.byteLength(JSON.stringify(object)) > STORED_BYTES)
    throw new ApiError(500, "", "etcdserver: request is too large");
}
