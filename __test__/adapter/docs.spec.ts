/** What README and deploy/ promise is what the code does: fields, defaults, error codes, rights. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { getConfigSchema } from "../../adapter/settings/config-schema.js";
import { agentConfigurationDoc, hostFields } from "../../adapter/settings/doc.js";
import { ROLE } from "../../local-cluster/api/access.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = (path: string): string => readFileSync(root + path, "utf8");
const readme = text("README.md");

/** All sources below a folder, without the tests inside them. */
function sources(folder: string, extension: string): string {
  const names = readdirSync(root + folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(extension),
  );
  const isTest = (name: string): boolean => /(^|\/)tests?\.rs$/.test(name);
  return names
    .filter((name) => !isTest(name))
    .map((name) => text(`${folder}/${name}`).split("#[cfg(test)]")[0])
    .join("\n");
}

/** The rows of the table under a heading, cell by cell. */
function table(heading: string): string[][] {
  const section = readme.split(new RegExp(`^#+ ${heading}$`, "m"))[1]?.split(/^#+ /m)[0] ?? "";
  const rows = section
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .slice(2);
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}

const words = (cell = ""): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);

const fields = new Map(
  table("Configuration of an agent").map(([field, type, byDefault]) => [
    words(field)[0]!,
    { type: type!, byDefault: byDefault! },
  ]),
);
const schema = getConfigSchema().fields;
const rust = sources("src", ".rs");

/** Fields as the addon reads them, with the default that it takes. */
function fieldsOfTheAddon(): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  const value = (code: string): string => String(Function(`return (${code.replace(/(\d)_(\d)/g, "$1$2")});`)());
  for (const [, name, byDefault] of rust.matchAll(
    /fields\.(?:seconds|flag|lenient_flag|lenient_number)\(\s*"([^"]+)",\s*([^)]+)\)/g,
  )) {
    found.set(name!, value(byDefault!));
  }
  for (const [, name, byDefault] of rust.matchAll(/read\("(resources\.[^"]+)", "([^"]+)"\)/g))
    found.set(name!, byDefault);
  for (const [, name, byDefault] of rust.matchAll(
    /fields\s*\.(?:text|number)\("([^"]+)"\)(?:\?\s*\.map_or\(([^,]+),|\s*\.unwrap_or\("([^"]+)"\))?/g,
  )) {
    if (!found.get(name!)) found.set(name!, byDefault?.trim() ? value(byDefault.replace("<<", "* 2 **")) : undefined);
  }
  for (const [, name] of rust.matchAll(/(?:fields\.0|config)\s*\.(?:get|text|trimmed)\("([^"]+)"\)/g))
    if (!found.has(name!)) found.set(name!, undefined);
  for (const [, name] of rust.matchAll(/label_pairs\(fields, "([^"]+)"\)/g)) found.set(name!, undefined);
  return found;
}

describe("the fields", () => {
  const ofAddon = fieldsOfTheAddon();
  const known = [...schema.map(({ key }) => key), ...hostFields.map(([key]) => key)];
  /** Not for the form: two of the host's own, and one of the environment test. */
  const beside = ["instructionsBundleMode", "instructionsRootPath", "secretRef"];

  it("of the README are those of the schema and of the host", () => {
    expect([...fields.keys()].sort()).toEqual([...known].sort());
    for (const key of beside) expect(readme).toContain(`\`${key}\``);
  });

  it("that the addon reads are all documented", () => {
    expect(ofAddon.size).toBeGreaterThan(30);
    expect([...ofAddon.keys()].filter((key) => !known.includes(key) && !beside.includes(key))).toEqual([]);
    for (const key of known) expect(agentConfigurationDoc).toContain(`- ${key}: `);
  });

  it.each(schema.map((field) => [field.key, field] as const))(
    "%s has its type and default in the README",
    (key, field) => {
      const { type, byDefault } = fields.get(key)!;
      const expected = {
        text: /^text/,
        textarea: /^text or/,
        combobox: /^text/,
        toggle: /^true or false$/,
        number: /^number, (seconds|bytes)$/,
        select: /^one of /,
      };
      expect(type).toMatch(expected[field.type]);
      if (field.options) expect(words(type)).toEqual(field.options.map(({ value }) => value));
      if (field.default !== undefined) expect(words(byDefault)).toEqual([String(field.default)]);
    },
  );

  it("have the defaults of the addon", () => {
    const withDefault = [...ofAddon].filter(([key, value]) => value !== undefined && fields.has(key));
    expect(withDefault.length).toBeGreaterThan(15);
    for (const [key, value] of withDefault) expect([key, words(fields.get(key)!.byDefault)[0]]).toEqual([key, value]);
    expect(words(fields.get("agentDbStorageCapacity")!.byDefault)).toEqual([
      /"agentDbStorageCapacity"\)\.unwrap_or\("([^"]+)"\)/.exec(rust)?.[1],
    ]);
    expect(words(fields.get("imagePullPolicy")!.byDefault)).toEqual([
      /"imagePullPolicy"\)\.unwrap_or\("([^"]+)"\)/.exec(rust)?.[1],
    ]);
  });
});

describe("the error codes", () => {
  it("of the README are those of the sources", () => {
    const constants = [sources("src/run", ".rs"), text("src/manifest/error.rs")].join("\n");
    const ofRust = [...constants.matchAll(/pub const [A-Z_]+: &str = "([a-z][a-z0-9_]+)";|=> "(k8s_[a-z_]+)"/g)].map(
      ([, code, other]) => code ?? other!,
    );
    // The environment test has codes of its own, which are no results.
    const shim = ["run/execute.ts", "addon/native.ts"].map((name) => text(`adapter/${name}`)).join("\n");
    const ofShim = [...shim.matchAll(/"(k8s_[a-z_]+|cancelled)"/g)].map(([, code]) => code!);
    const documented = table("When a run fails").flatMap(([codes]) => words(codes));
    expect(new Set(documented)).toEqual(new Set([...ofRust, ...ofShim]));
    expect(documented.length).toBe(new Set(documented).size);
  });
});

describe("the rights", () => {
  /** `resource verb` of each rule of the Role. */
  const granted = [...text("deploy/rbac.yaml").matchAll(/resources: \[(.*)\]\n\s+verbs: \[(.*)\]/g)].flatMap(
    ([, resources, verbs]) =>
      resources!.split(", ").flatMap((resource) => verbs!.split(", ").map((verb) => `${resource} ${verb}`)),
  );
  const all = (rows: [string, string[]][]): string[] =>
    rows.flatMap(([resource, verbs]) => verbs.map((verb) => `${resource} ${verb}`)).sort();
  const asked = [
    ...text("src/probe/rights.rs").matchAll(
      /\(\s*"(?:batch)?",\s*"(\w+)",\s*"(\w+)",\s*"\w+",\s*Without::(\w+),?\s*\)/g,
    ),
  ].map(([, resource, verb, without]) => ({
    right: `${resource} ${verb}`,
    without: without!,
  }));

  it("of the README and of the local cluster are those of the Role", () => {
    expect(all(table("Rights").map(([resource, verbs]) => [words(resource)[0]!, words(verbs)]))).toEqual(
      [...granted].sort(),
    );
    const { selfsubjectaccessreviews: _everybodys, ...role } = ROLE;
    expect(all(Object.entries(role))).toEqual([...granted].sort());
  });

  it("that the environment test wants are those of the Role, and each is used by a run", () => {
    const wanted = asked.filter(({ without }) => without !== "IsTheSame").map(({ right }) => right);
    // The namespace itself is read by the test instead of asked about.
    expect([...wanted, "namespaces get"].sort()).toEqual([...granted].sort());
    for (const { right } of asked.filter(({ without }) => without === "IsTheSame")) {
      expect(granted).not.toContain(right);
      const [resource, verb] = right.split(" ");
      expect(readme).toContain(`\`${verb} ${resource}\``);
    }
  });
});
