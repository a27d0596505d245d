/** Names, labels and annotations: their patterns, and the sentences in which the API explains them. */

import type { Metadata } from "../objects.js";
import type { Resource } from "../api/resources.js";
import type { Problems } from "./problems.js";

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN = String.raw`${LABEL}(\.${LABEL})*`;
const QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE = `(${QUALIFIED})?`;
const ENV_NAME = "[-._a-zA-Z][-._a-zA-Z0-9]*";
const CONFIG_KEY = "[-._a-zA-Z0-9]+";

const WORD_CHARACTERS = "alphanumeric characters, '-', '_' or '.'";
const ENDS = "and must start and end with an alphanumeric character";

const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`);
const max = (length: number): string => `must be no more than ${length} characters`;

interface Form {
  pattern: string;
  length: number;
  sentence: string;
  examples: string[];
}

const DNS_LABEL: Form = {
  pattern: LABEL,
  length: 63,
  sentence: `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', ${ENDS}`,
  examples: ["my-name", "123-abc"],
};

const DNS_SUBDOMAIN: Form = {
  pattern: SUBDOMAIN,
  length: 253,
  sentence: `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ${ENDS}`,
  examples: ["example.com"],
};

const VALUE: Form = {
  pattern: LABEL_VALUE,
  length: 63,
  sentence: `a valid label must be an empty string or consist of ${WORD_CHARACTERS}, ${ENDS}`,
  examples: ["MyValue", "my_value", "12345"],
};

const NAME_PART: Form = {
  pattern: QUALIFIED,
  length: 63,
  sentence: `name part must consist of ${WORD_CHARACTERS}, ${ENDS}`,
  examples: ["MyName", "my.name", "123-abc"],
};

const ENV: Form = {
  pattern: ENV_NAME,
  length: Infinity,
  sentence:
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', " +
    "and must not start with a digit",
  examples: ["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
};

const KEY: Form = {
  pattern: CONFIG_KEY,
  length: 253,
  sentence: `a valid config key must consist of ${WORD_CHARACTERS}`,
  examples: ["key.name", "KEY_NAME", "key-name"],
};

function faults(form: Form, text: string): string[] {
  const found: string[] = [];
  if (text.length > form.length) found.push(max(form.length));
  if (!whole(form.pattern).test(text)) {
    const examples = form.examples.map((example) => `'${example}'`).join(",  or ");
    found.push(`${form.sentence} (e.g. ${examples}, regex used for validation is '${form.pattern}')`);
  }
  return found;
}

const check = (problems: Problems, field: string, form: Form, text: string, judged = text): void => {
  for (const why of faults(form, judged)) problems.invalid(field, text, why);
};

export const checkLabelName = (problems: Problems, field: string, text: string): void =>
  check(problems, field, DNS_LABEL, text);
export const checkSubdomain = (problems: Problems, field: string, text: string): void =>
  check(problems, field, DNS_SUBDOMAIN, text);
export const checkEnvName = (problems: Problems, field: string, text: string): void =>
  check(problems, field, ENV, text);
export const checkConfigKey = (problems: Problems, field: string, text: string): void =>
  check(problems, field, KEY, text);

/** What is wrong with a label value, in the API's sentences. */
export const labelValueFaults = (text: string): string[] => faults(VALUE, text);

function checkQualifiedName(problems: Problems, field: string, key: string): void {
  const parts = key.split("/");
  if (parts.length > 2) {
    return problems.invalid(
      field,
      key,
      `a qualified name must consist of ${WORD_CHARACTERS}, ${ENDS} (e.g. 'MyName',  or 'my.name',  or '123-abc', ` +
        `regex used for validation is '${QUALIFIED}') with an optional DNS subdomain prefix and '/' ` +
        "(e.g. 'example.com/MyName')",
    );
  }
  const name = parts.at(-1)!;
  if (parts.length === 2) {
    if (parts[0] === "") problems.invalid(field, key, "prefix part must be non-empty");
    else for (const why of faults(DNS_SUBDOMAIN, parts[0]!)) problems.invalid(field, key, `prefix part ${why}`);
  }
  if (name === "") problems.invalid(field, key, "name part must be non-empty");
  for (const why of faults(NAME_PART, name))
    problems.invalid(field, key, why.startsWith("name part") ? why : `name part ${why}`);
}

export function checkLabels(problems: Problems, field: string, labels: Record<string, string> = {}): void {
  for (const [key, value] of Object.entries(labels)) {
    checkQualifiedName(problems, field, key);
    check(problems, field, VALUE, value);
  }
}

const ANNOTATION_BYTES = 256 * 1024;

export function checkAnnotations(problems: Problems, field: string, annotations: Record<string, string> = {}): void {
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) {
    checkQualifiedName(problems, field, key.toLowerCase());
    size += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (size > ANNOTATION_BYTES) problems.tooLong(field, ANNOTATION_BYTES);
}

export function checkMetadata(problems: Problems, resource: Resource, metadata: Metadata): void {
  // The suffix makes a dash at its end harmless.
  if (metadata.generateName)
    check(
      problems,
      "metadata.generateName",
      DNS_SUBDOMAIN,
      metadata.generateName,
      metadata.generateName.replace(/-$/, "a"),
    );
  if (!metadata.name) problems.required("metadata.name", "name or generateName is required");
  else if (resource.plural === "namespaces") checkLabelName(problems, "metadata.name", metadata.name);
  else checkSubdomain(problems, "metadata.name", metadata.name);
  checkLabels(problems, "metadata.labels", metadata.labels);
  checkAnnotations(problems, "metadata.annotations", metadata.annotations);
  for (const owner of metadata.ownerReferences ?? []) {
    const field = "metadata.ownerReferences";
    for (const name of ["apiVersion", "kind", "name", "uid"] as const) {
      if (!owner[name])
        problems.invalid(
          `${field}.${name}`,
          owner[name] ?? "",
          `${name === "apiVersion" ? "version" : name} must not be empty`,
        );
    }
  }
  if ((metadata.ownerReferences ?? []).filter(({ controller }) => controller).length > 1) {
    problems.invalid("metadata.ownerReferences", null, "Only one reference can have Controller set to true");
  }
}
