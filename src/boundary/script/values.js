// What functions of the addon are given: objects become JSON text. Dates, cycles, BigInt, functions and half characters
// must not end a run.

/** Shared references are written out where they occur, so the size is bounded as well as the depth. */
const MAX_VALUES = 500_000;
/** Rust's JSON reader refuses more than 128 levels. */
const MAX_DEPTH = 100;

/** What was handed over is more than one request can hold. Leaving some of it out would change what it says. */
class RequestTooLargeError extends Error {
  code = "k8s_invalid_request";

  constructor(what) {
    super(`The request is too large: it has more than ${what}. Shorten the task's context or the agent's settings.`);
    this.name = "RequestTooLargeError";
  }
}

/**
 * JSON text of anything. What JSON cannot hold is left out (in lists: `null`), and so is a reference to what is around
 * it. What cannot be read (a getter or a proxy that throws) is left out as well, or with `name` a TypeError.
 */
function toJsonText(value, name) {
  const walk = { left: MAX_VALUES, ancestors: new Set(), name, path: [] };
  try {
    return JSON.stringify(copyValue(value, walk) ?? null);
  } catch (error) {
    if (error instanceof RangeError) throw new RequestTooLargeError("512 MiB of text");
    throw error;
  }
}

function copyValue(value, walk) {
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

function copyObject(value, walk) {
  if (walk.ancestors.has(value)) return undefined;
  if (walk.ancestors.size >= MAX_DEPTH) throw new RequestTooLargeError(`${MAX_DEPTH} levels`);
  count(walk, 1);
  walk.ancestors.add(value);
  try {
    const replaced = typeof value.toJSON === "function" ? value.toJSON() : value;
    if (replaced !== value) return copyValue(replaced, walk);
    return Array.isArray(value) ? copyList(value, walk) : copyRecord(value, walk);
  } catch (error) {
    return unreadable(error, walk);
  } finally {
    walk.ancestors.delete(value);
  }
}

function copyList(list, walk) {
  const out = [];
  const { length } = list;
  count(walk, length);
  for (let index = 0; index < length; index++) {
    walk.path.push(index);
    out.push(copyValue(list[index], walk) ?? null);
    walk.path.pop();
  }
  return out;
}

function copyRecord(record, walk) {
  const out = {};
  // To list the bytes of a large buffer would take long, and it is refused anyway.
  if (ArrayBuffer.isView(record) && record.byteLength > walk.left) count(walk, record.byteLength);
  for (const key of Object.keys(record)) {
    count(walk, 1);
    walk.path.push(key);
    const entry = copyProperty(record, key, walk);
    walk.path.pop();
    // Assignment would not keep a key named `__proto__` a key.
    if (entry !== undefined && key !== "__proto__") out[key.toWellFormed()] = entry;
    else if (entry !== undefined) Object.defineProperty(out, key, { value: entry, enumerable: true });
  }
  return out;
}

function copyProperty(record, key, walk) {
  try {
    return copyValue(record[key], walk);
  } catch (error) {
    return unreadable(error, walk);
  }
}

function unreadable(error, walk) {
  if (walk.name === undefined && !(error instanceof RequestTooLargeError)) return undefined;
  if (error instanceof RequestTooLargeError || error instanceof UnreadableError) throw error;
  throw new UnreadableError([walk.name, ...walk.path].join("."), error);
}

function count(walk, values) {
  walk.left -= values;
  if (!(walk.left >= 0)) throw new RequestTooLargeError(`${MAX_VALUES.toLocaleString("en")} values`);
}

/** A getter or a proxy has thrown. */
class UnreadableError extends TypeError {
  constructor(name, cause) {
    super(`${name} cannot be read: ${describe(cause)}`, { cause });
  }
}

/** The message of anything that was thrown, even of something that cannot be turned into text. */
function describe(error) {
  try {
    return error instanceof Error && error.message ? error.message : String(error);
  } catch {
    return "unknown error";
  }
}

function read(object, key, name) {
  try {
    return object[key];
  } catch (error) {
    throw new UnreadableError(`${name}.${key}`, error);
  }
}

/** These fields of an object, each read once. */
function fieldsOf(object, keys, name) {
  expect(object, "object", name);
  const fields = {};
  for (const key of keys) fields[key] = read(object, key, name);
  return fields;
}

/** The value, if it is of this type. */
function expect(value, type, name) {
  const found = kindOf(value, name);
  if (found !== type) throw new TypeError(`${name} must be ${NAMES[type]}, it is ${NAMES[found] ?? found}`);
  return value;
}

function kindOf(value, name) {
  if (value === null) return "null";
  try {
    return Array.isArray(value) ? "array" : typeof value;
  } catch (error) {
    throw new UnreadableError(name, error);
  }
}

const NAMES = {
  array: "a list",
  boolean: "true or false",
  function: "a function",
  number: "a number",
  object: "an object",
  string: "a text",
};

/** The value, if it is of this type or absent. */
function expectOptional(value, type, name) {
  return value === undefined || value === null ? undefined : expect(value, type, name);
}
