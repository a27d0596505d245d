/**
 * Turns whatever the host hands over into JSON text that the addon can read: dates, cycles, shared references,
 * functions, BigInt, throwing getters and lone surrogates must not end a run.
 */

/** Shared references are written out where they occur, so the size is bounded as well as the depth. */
const MAX_NODES = 500_000;
/** The addon's JSON reader refuses more than 128 levels. */
const MAX_DEPTH = 100;

/** What the host handed over is more than one request can hold. Leaving some of it out would change what it says. */
export class RequestTooLargeError extends Error {
  readonly code = "k8s_invalid_request";

  constructor(what: string) {
    super(`The request is too large: it has more than ${what}. Shorten the task's context or the agent's settings.`);
  }
}

/** A value as JSON knows it. */
type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/**
 * JSON text of anything; what JSON cannot hold is left out (in lists: `null`), and so is a reference to what is around
 * it.
 * Throws {@link RequestTooLargeError} for what is too large or too deep.
 */
export function toJsonText(value: unknown): string {
  return JSON.stringify(toJsonValue(value) ?? null);
}

/** The JSON text of both objects' fields in one object; neither may be empty. */
export function joinJsonObjects(first: string, second: string): string {
  return `${first.slice(0, -1)},${second.slice(1)}`;
}

/** The JSON-safe copy of anything; `undefined` for what JSON cannot hold at all. */
function toJsonValue(value: unknown): JsonValue | undefined {
  return copy(value, { left: MAX_NODES, ancestors: new Set() });
}

interface Walk {
  left: number;
  /** The objects the walk is inside of: meeting one of them again is a cycle. */
  readonly ancestors: Set<object>;
}

function copy(value: unknown, walk: Walk): JsonValue | undefined {
  switch (typeof value) {
    case "string":
      return value.toWellFormed();
    case "number":
      return Number.isFinite(value) ? value : null;
    case "boolean":
      return value;
    case "bigint":
      return value.toString();
    case "object":
      return value === null ? null : copyObject(value, walk);
    default:
      return undefined;
  }
}

function copyObject(value: object, walk: Walk): JsonValue | undefined {
  if (walk.ancestors.has(value)) return undefined;
  if (walk.ancestors.size >= MAX_DEPTH) throw new RequestTooLargeError(`${MAX_DEPTH} levels`);
  count(walk);
  walk.ancestors.add(value);
  try {
    const replaced = ownJsonForm(value);
    if (replaced !== value) return copy(replaced, walk);
    return Array.isArray(value) ? copyList(value, walk) : copyRecord(value, walk);
  } catch (error) {
    if (error instanceof RequestTooLargeError) throw error;
    // A revoked proxy or a throwing trap: nothing of it can be read.
    return undefined;
  } finally {
    walk.ancestors.delete(value);
  }
}

/** What the value says its JSON form is (`toJSON`: dates, URLs, buffers), or the value itself. */
function ownJsonForm(value: object): unknown {
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function" ? toJSON.call(value) : value;
}

function count(walk: Walk): void {
  if (walk.left-- <= 0) throw new RequestTooLargeError(`${MAX_NODES.toLocaleString("en")} values`);
}

function copyList(list: readonly unknown[], walk: Walk): JsonValue[] {
  const out: JsonValue[] = [];
  for (let index = 0; index < list.length; index++) {
    count(walk);
    out.push(copy(list[index], walk) ?? null);
  }
  return out;
}

function copyRecord(record: object, walk: Walk): JsonValue {
  const out: { [key: string]: JsonValue } = {};
  for (const key of Object.keys(record)) {
    count(walk);
    const entry = copyProperty(record, key, walk);
    if (entry !== undefined) define(out, key.toWellFormed(), entry);
  }
  return out;
}

function copyProperty(record: object, key: string, walk: Walk): JsonValue | undefined {
  try {
    return copy((record as Record<string, unknown>)[key], walk);
  } catch (error) {
    if (error instanceof RequestTooLargeError) throw error;
    return undefined;
  }
}

/** Assignment that keeps a key named `__proto__` a key. */
function define(target: object, key: string, value: JsonValue): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
