/** Label and field selectors, read from the query string and judged on an object. */

import type { KubeObject } from "../objects.js";
import { labelValueFaults } from "../validation/names.js";
import { badRequest } from "./status.js";

export type Predicate = (object: KubeObject) => boolean;
type LabelTest = (labels: Record<string, string>) => boolean;

const ANY: Predicate = () => true;

/** A selector with a value that no label can have is refused, not answered with an empty list. */
function checkValues(key: string, values: string[]): void {
  values.forEach((value, index) => {
    for (const why of labelValueFaults(value)) {
      throw badRequest(
        `unable to parse requirement: values[${index}][${key}]: Invalid value: ${JSON.stringify(value)}: ${why}`,
      );
    }
  });
}

/** Splits on commas that are not inside the parentheses of `in (a,b)`. */
function clauses(selector: string): string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((clause) => clause.trim())
    .filter(Boolean);
}

const COMPARED = /^([^!=\s]+)\s*(==|!=|=)\s*(\S*)$/;

/** The labels that a selector asks for with one value. */
export function labelsWithOneValue(selector: string | null): [string, string][] {
  return clauses(selector ?? "").flatMap((clause): [string, string][] => {
    const [, key, operator, value] = COMPARED.exec(clause) ?? [];
    return key !== undefined && value !== undefined && operator !== "!=" ? [[key, value]] : [];
  });
}

function labelClause(clause: string): LabelTest {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(clause);
  if (set) {
    const [, key, operator, list] = set as unknown as [string, string, string, string];
    const values = list.split(",").map((value) => value.trim());
    checkValues(key, values);
    if (operator === "in") return (labels) => labels[key] !== undefined && values.includes(labels[key]);
    return (labels) => labels[key] === undefined || !values.includes(labels[key]);
  }
  const compared = COMPARED.exec(clause);
  if (compared) {
    const [, key, operator, value] = compared as unknown as [string, string, string, string];
    checkValues(key, [value]);
    // An object without the label satisfies `!=`.
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const exists = /^(!?)\s*([A-Za-z0-9][-A-Za-z0-9_./]*)$/.exec(clause);
  if (exists) return (labels) => (labels[exists[2]!] !== undefined) === (exists[1] === "");
  throw badRequest(`unable to parse requirement: found '${clause}', expected: '=', '!=', '==', 'in', notin'`);
}

export function labelSelector(selector: string | null): Predicate {
  if (!selector) return ANY;
  const tests = clauses(selector).map(labelClause);
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

const EVERY = ["metadata.name", "metadata.namespace"];

// The fields that a kind can be selected by; the rest of its fields the API does not index.
const FIELDS: Record<string, string[]> = {
  Job: ["status.successful"],
  Pod: [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
  ],
  Event: ["involvedObject.uid", "involvedObject.name", "involvedObject.kind", "reason", "type"],
  Secret: ["type"],
  Namespace: ["status.phase"],
};

export function fieldSelector(selector: string | null, kind: string): Predicate {
  if (!selector) return ANY;
  const tests = clauses(selector).map((clause): Predicate => {
    const compared = /^([^!=]+?)\s*(==|!=|=)\s*(.*)$/.exec(clause);
    if (!compared) throw badRequest(`invalid selector: '${clause}'; can't understand '${clause}'`);
    const [, path, operator, value] = compared as unknown as [string, string, string, string];
    if (![...EVERY, ...(FIELDS[kind] ?? [])].includes(path))
      throw badRequest(`field label "${path}" not supported for ${kind}`);
    return (object) =>
      (String(path.split(".").reduce<any>((at, field) => at?.[field], object) ?? "") === value) !== (operator === "!=");
  });
  return (object) => tests.every((test) => test(object));
}
