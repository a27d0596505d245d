/** What README and deploy/ promise is what the code does: fields, defaults, error codes, rights. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";
import { describe, expect, it } from "vitest";

import { NativeUnavailableError } from "../../adapter/addon/native.js";
import { renderPrompt } from "../../adapter/run/prompt.js";
import { readPromptInputs } from "../../adapter/run/prompt-inputs.js";
import { settings } from "../../adapter/settings/config-schema.js";
import { withTranscript } from "../../adapter/ui/readable-log.js";
import { agentConfigurationDoc } from "../../adapter/settings/doc.js";
import { ROLE } from "../../local-cluster/api/access.js";
import { fakeNative } from "./fake-native.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = (path: string): string => readFileSync(root + path, "utf8");
const readme = text("README.md");

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

describe("the settings", () => {
  /** What the TypeScript half reads itself; the Rust half has a test that it reads all others. */
  const readHere = settings.filter(({ reader }) => reader === "shim").map(({ key }) => key);

  it("are all in the document", () => {
    for (const { key, beside } of settings) if (!beside) expect(agentConfigurationDoc).toContain(`- ${key}: `);
  });

  it("of the shim are those that it reads", async () => {
    const known = new Set(settings.map(({ key }) => key));
    const read = new Set<string>();
    const config = new Proxy<Record<string, unknown>>(
      {},
      {
        get: (_, key) => {
          if (typeof key === "string" && known.has(key)) read.add(key);
          return undefined;
        },
      },
    );
    await readPromptInputs(fakeNative(), config);
    renderPrompt({ runId: "r", agent: { id: "a", name: "", companyId: "c" }, config, context: {} }, {}, false);
    await withTranscript(async () => null)({ config } as unknown as AdapterExecutionContext);
    // Where the volume is, is asked for skills as well.
    expect([...read].filter((key) => key !== "dataRoot").sort()).toEqual([...readHere].sort());
  });
});

describe("the error codes", () => {
  it("of the shim are in the README", () => {
    const documented = new Set(table("When a run fails").flatMap(([codes]) => words(codes)));
    expect(documented.size).toBeGreaterThan(30);
    for (const code of [
      new NativeUnavailableError("x").code,
      ...["k8s_internal_error", "k8s_invalid_request", "cancelled"],
    ]) {
      expect(documented).toContain(code);
    }
  });
});

describe("the pages of docs/", () => {
  it.each(readdirSync(`${root}docs`))("%s names no error code that there is not", (page) => {
    const known = new Set(table("When a run fails").flatMap(([codes]) => words(codes)));
    const named = [...text(`docs/${page}`).matchAll(/`(k8s_[a-z_]+)`/g)].map(([, code]) => code!);
    expect(named.filter((code) => !known.has(code))).toEqual([]);
  });
});

describe("the README", () => {
  it("names at the uninstall the Secret that no label finds", () => {
    const [, seal] = /SECRET: &str = "([^"]+)"/.exec(text("src/run/seal.rs")) ?? [];
    expect(readme.split("### Uninstall")[1]?.split(/^##/m)[0]).toContain(`delete secret ${seal}\n`);
  });
});

describe("the pages for whoever is on call", () => {
  /** What stands on the host's page and is no label of a field. */
  const ofHost = ["Run test", "Harness / Runtime", "Readable text"];
  const labels = new Set([...ofHost, ...settings.map(({ label }) => label)]);

  it.each(["runbook", "troubleshooting"])("%s.md uses the words of the page", (page) => {
    const named = [...text(`docs/${page}.md`).matchAll(/(?<!\*)\*([A-Z][^*]+)\*/g)].map(([, name]) =>
      name!.replace(/\s+/g, " "),
    );
    expect(named.filter((name) => !labels.has(name))).toEqual([]);
  });
});

describe("the troubleshooting page", () => {
  it("has the words of the task's page", () => {
    const sources = ["host/progress.rs", "admit/concurrency.rs"].map((name) => text(`src/run/${name}`)).join("\n");
    const section = text("docs/troubleshooting.md").split("## The run waits")[1]?.split("\n## ")[0] ?? "";
    const cells = [...section.matchAll(/^\| ([A-Z][^|]+) \|/gm)].flatMap(([, cell]) => cell!.split(/, (?=[A-Z])/));
    expect(cells.length).toBeGreaterThan(8);
    const begins = (words: string) => sources.includes(`"${words.split(/[,:…]/)[0]!.trim()}`);
    expect(cells.filter((cell) => !begins(cell) && !begins(cell.replace("Waiting for ", "")))).toEqual([]);
  });
});

describe("the runbook", () => {
  it("says of each step that an alert may name what to do", () => {
    const rules = [...text("deploy/prometheus-rules.yaml").matchAll(/alert: (\w+)\n.*phase=~"([^"]+)"/g)];
    expect(rules.length).toBe(2);
    for (const [, alert, phases] of rules) {
      const section = text("docs/runbook.md").split(`### ${alert}\n`)[1]?.split("\n### ")[0] ?? "";
      expect(phases!.split("|").filter((phase) => !section.includes(`\`${phase}\``))).toEqual([]);
    }
  });

  it("has every alert in a heading", () => {
    const alerts = [...text("deploy/prometheus-rules.yaml").matchAll(/alert: (\w+)/g)].map(([, alert]) => alert!);
    expect(alerts.length).toBeGreaterThan(10);
    const headings = text("docs/runbook.md").split("\n");
    expect(alerts.filter((alert) => !headings.includes(`### ${alert}`))).toEqual([]);
  });

  it("has every error code in a heading", () => {
    const headings = text("docs/runbook.md").match(/^#### .+$/gm) ?? [];
    const known = new Set(headings.flatMap(words));
    expect(
      table("When a run fails")
        .flatMap(([codes]) => words(codes))
        .filter((code) => !known.has(code)),
    ).toEqual([]);
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
