/**
 * The three patch formats. Strategic merge is read as a merge patch in which lists whose entries have a `name` (or
 * `uid`, for owner references) merge by it: enough for metadata, env and containers.
 */

import { ApiError, unsupportedPatch } from "./status.js";

type Json = any;

const isObject = (value: Json): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

export function applyPatch(contentType: string, target: Json, patch: Json): Json {
  switch (contentType.split(";")[0]!.trim()) {
    case "application/merge-patch+json":
      return merge(target, patch, false);
    case "application/strategic-merge-patch+json":
      return merge(target, patch, true);
    case "application/json-patch+json":
      return jsonPatch(structuredClone(target), patch);
    default:
      throw unsupportedPatch();
  }
}

function merge(target: Json, patch: Json, strategic: boolean): Json {
  if (!isObject(patch)) return patch;
  const result: Json = isObject(target) ? { ...target } : {};
  for (const [field, value] of Object.entries<Json>(patch)) {
    if (value === null) delete result[field];
    else if (strategic && Array.isArray(value) && Array.isArray(result[field]))
      result[field] = mergeLists(field, result[field], value);
    else result[field] = merge(result[field], value, strategic);
  }
  return result;
}

function mergeLists(field: string, target: Json[], patch: Json[]): Json[] {
  if (field === "finalizers") return [...new Set([...target, ...patch])];
  const key = ["uid", "name", "type"].find((candidate) =>
    patch.every((entry) => isObject(entry) && candidate in entry),
  );
  if (!key) return patch;
  const result = [...target];
  for (const entry of patch) {
    const at = result.findIndex((existing) => existing[key] === entry[key]);
    const { $patch: directive, ...rest } = entry;
    if (directive === "delete") {
      if (at >= 0) result.splice(at, 1);
    } else if (at >= 0) result[at] = merge(result[at], rest, true);
    else result.push(rest);
  }
  return result;
}

function jsonPatch(document: Json, operations: Json): Json {
  const root = { "": document };
  const fail = (message: string): never => {
    throw new ApiError(
      422,
      "Invalid",
      `the server rejected our request due to an error in our request: ${message}`,
      {},
    );
  };
  const locate = (pointer: string): { holder: Json; field: string } => {
    const steps = pointer.split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
    const field = steps.pop()!;
    let holder: Json = root;
    for (const step of pointer === "" ? [] : steps) holder = holder?.[step] ?? fail(`path ${pointer} does not exist`);
    return { holder, field };
  };
  const put = (pointer: string, value: Json): void => {
    const { holder, field } = locate(pointer);
    if (Array.isArray(holder)) holder.splice(field === "-" ? holder.length : Number(field), 0, value);
    else holder[field] = value;
  };
  const take = (pointer: string): Json => {
    const { holder, field } = locate(pointer);
    if (!(field in holder)) fail(`Unable to remove nonexistent key: ${field}: missing value`);
    const value = holder[field];
    if (Array.isArray(holder)) holder.splice(Number(field), 1);
    else delete holder[field];
    return value;
  };
  const read = (pointer: string): Json => {
    const { holder, field } = locate(pointer);
    return holder[field];
  };
  if (!Array.isArray(operations)) fail("a JSON patch is a list of operations");
  for (const { op, path, from, value } of operations as Json[]) {
    if (op === "add") put(path, value);
    else if (op === "remove") take(path);
    else if (op === "replace") {
      take(path);
      put(path, value);
    } else if (op === "move") put(path, take(from));
    else if (op === "copy") put(path, structuredClone(read(from)));
    else if (op === "test") {
      if (JSON.stringify(read(path)) !== JSON.stringify(value)) fail(`testing path ${path} failed`);
    } else fail(`Unexpected kind: ${op}`);
  }
  return root[""];
}
