/** Reads a body as a kind, as Go's JSON decoder does: the first value of a wrong type ends it, unknown fields drop. */

import type { KubeObject } from "../objects.js";
import type { Resource } from "../api/resources.js";
import { badRequest } from "../api/status.js";
import { KINDS, type Scalar, type Shape, type Struct } from "./schema.js";

const QUANTITY = /^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$/;

const GO_TYPES: Partial<Record<Scalar, string>> = {
  int32: "int32",
  int64: "int64",
  bool: "bool",
  string: "string",
  bytes: "[]uint8",
};

const LIMITS: Partial<Record<Scalar, number>> = { int32: 2 ** 31, int64: 2 ** 63 };

interface Place {
  /** The struct and the path without indexes: what Go's errors name. */
  owner: string;
  path: string;
}

interface Decoded {
  object: KubeObject;
  /** Paths of unknown fields. */
  unknown: string[];
}

export function decode(resource: Resource, body: unknown): Decoded {
  const version = resource.group ? `${resource.group}/v1` : "v1";
  const { apiVersion = version, kind = resource.kind } = (body ?? {}) as Partial<KubeObject>;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): ` +
        "couldn't get version/kind; json parse error",
    );
  }
  if (kind !== resource.kind || apiVersion !== version) {
    throw badRequest(
      `${kind} in version "${apiVersion.split("/").at(-1)}" cannot be handled as a ${resource.kind}: ` +
        `no kind "${kind}" is registered for version "${apiVersion}" in scheme "pkg/api/legacyscheme/scheme.go:30"`,
    );
  }
  const unknown: string[] = [];
  try {
    const object = read(
      KINDS[resource.kind]!,
      structuredClone(body),
      { owner: resource.kind, path: "" },
      "",
      unknown,
    ) as KubeObject;
    return {
      object: {
        ...object,
        apiVersion: version,
        kind: resource.kind,
        metadata: object.metadata ?? ({} as KubeObject["metadata"]),
      },
      unknown,
    };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw badRequest(`${resource.kind} in version "v1" cannot be handled as a ${resource.kind}: ${error.message}`);
  }
}

class DecodeError extends Error {}

function read(shape: Shape, value: unknown, place: Place, exact: string, unknown: string[]): unknown {
  // Go leaves a field at its zero value when it meets null; the API then leaves it out.
  if (value === null || value === undefined) return undefined;
  if (typeof shape === "string") return readScalar(shape, value, place);
  if ("list" in shape) {
    if (!Array.isArray(value)) throw mismatch(value, place, goType(shape));
    return value.map(
      (entry, index) => read(shape.list, entry, place, `${exact}[${index}]`, unknown) ?? zero(shape.list),
    );
  }
  if (typeof value !== "object" || Array.isArray(value)) throw mismatch(value, place, goType(shape));
  const entries = Object.entries(value);
  if ("map" in shape) {
    return Object.fromEntries(
      entries.map(([key, entry]) => [
        key,
        read(shape.map, entry, place, `${exact}.${key}`, unknown) ?? zero(shape.map),
      ]),
    );
  }
  const result: Record<string, unknown> = {};
  for (const [field, entry] of entries) {
    const path = exact ? `${exact}.${field}` : field;
    const inner = shape.fields[field];
    if (inner === undefined) {
      unknown.push(path);
      continue;
    }
    const decoded = read(
      inner,
      entry,
      { owner: shape.go, path: place.path ? `${place.path}.${field}` : field },
      path,
      unknown,
    );
    if (decoded !== undefined) result[field] = decoded;
  }
  return result;
}

function readScalar(type: Scalar, value: unknown, place: Place): unknown {
  switch (type) {
    case "any":
      return value;
    case "quantity":
      if (typeof value !== "string" && typeof value !== "number") throw mismatch(value, place, "string");
      if (!QUANTITY.test(String(value)))
        throw new DecodeError(`quantities must match the regular expression '${QUANTITY.source}'`);
      return String(value);
    case "int32":
    case "int64":
      if (typeof value !== "number" || !Number.isInteger(value) || Math.abs(value) >= LIMITS[type]!)
        throw mismatch(value, place, type);
      return value;
    case "bool":
      if (typeof value !== "boolean") throw mismatch(value, place, "bool");
      return value;
    case "bytes":
      if (typeof value !== "string") throw mismatch(value, place, "[]uint8");
      if (!/^[A-Za-z0-9+/\r\n]*={0,2}$/.test(value) || value.replace(/[\r\n]/g, "").length % 4 !== 0) {
        throw new DecodeError(`illegal base64 data at input byte ${Math.max(0, value.search(/[^A-Za-z0-9+/]/))}`);
      }
      return value;
    case "string":
      if (typeof value !== "string") throw mismatch(value, place, "string");
      return value;
  }
}

function mismatch(value: unknown, { owner, path }: Place, type: string): DecodeError {
  const what = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const shown = typeof value === "number" && type.startsWith("int") ? `number ${value}` : what;
  return new DecodeError(`json: cannot unmarshal ${shown} into Go struct field ${owner}.${path} of type ${type}`);
}

function goType(shape: Shape): string {
  if (typeof shape === "string") return GO_TYPES[shape] ?? "resource.Quantity";
  if ("list" in shape) return `[]${goType(shape.list)}`;
  if ("map" in shape) return `map[string]${goType(shape.map)}`;
  return `v1.${(shape as Struct).go}`;
}

const zero = (shape: Shape): unknown =>
  shape === "string" || shape === "bytes" ? "" : typeof shape === "string" ? 0 : "list" in shape ? [] : {};
