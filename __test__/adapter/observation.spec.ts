/** Alerts, dashboard and runbook name metrics that there are, and each alert has a section. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = (path: string): string => readFileSync(`${root}${path}`, "utf8");

// The text of the engine with all metrics in it, which a test of the engine compares.
const golden = text("fixtures/metrics.txt");
const kinds = new Map([...golden.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, kind]) => [name!, kind!]));
const codes = new Set([...text("src/codes.rs").matchAll(/^ {4}\w+ "([a-z0-9_]+)":$/gm)].map(([, word]) => word!));

const rules = text("deploy/prometheus-rules.yaml");
const alerts = [...rules.matchAll(/- alert: (\w+)\n\s+expr: (.+)\n/g)].map(([, name, expr]) => ({ name, expr }));
const dashboard = JSON.parse(text("deploy/grafana-dashboard.json")) as Record<string, any>;
const queries = dashboard["panels"].flatMap((panel: any) =>
  panel.targets.map(({ expr, legendFormat: legend }: Record<string, string>) => ({ name: panel.title, expr, legend })),
);

/** The labels that each metric has in the text of the engine. */
const labels = new Map<string, Set<string>>();
for (const [, name, text = ""] of golden.matchAll(/^(paperclip_\w+)(?:\{(.*)\})? /gm)) {
  const found = labels.get(metricOf(name!)) ?? new Set(["instance"]); // which Prometheus adds
  for (const [, label] of text.matchAll(/(\w+)="/g)) found.add(label!);
  labels.set(metricOf(name!), found);
}
/** A query's metrics, and the labels that it or the legend beside it asks for. */
function askedOf(expr: string, legend = ""): { names: string[]; asked: string[] } {
  const names = [...expr.matchAll(/\bpaperclip_\w+/g)].map(([name]) => metricOf(name));
  const groups = [...expr.matchAll(/\b(?:by|without) \(([^)]*)\)/g)].flatMap(([, group]) => group!.split(/, ?/));
  const matched = [...expr.matchAll(/\b(\w+)(?:=~|!~|!=|=)"/g)].map(([, label]) => label!);
  const shown = [...legend.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, label]) => label!);
  return { names, asked: [...groups, ...matched, ...shown] };
}

/** The metric that a name in a query belongs to: histograms have three names. */
function metricOf(name: string): string {
  const base = name.replace(/_(?:bucket|sum|count)$/, "");
  return kinds.get(base) === "histogram" ? base : name;
}

describe("the metrics", () => {
  it("are many, and those of the alerts and the dashboard are there", () => {
    expect([kinds.size > 15, alerts.length > 10, queries.length > 15]).toEqual([true, true, true]);
  });

  it.each([...alerts, ...queries])("$name names metrics that there are", ({ expr }) => {
    const names = [...expr.matchAll(/\bpaperclip_\w+/g)].map(([name]) => name);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(kinds.has(metricOf(name)), name).toBe(true);
  });

  it.each([...alerts, ...queries])("$name asks for labels that its metric has", ({ expr, legend }) => {
    const { names, asked } = askedOf(expr, legend);
    for (const name of names) expect(asked.filter((label) => !labels.get(name)?.has(label))).toEqual([]);
  });

  it("are named in the documents as they are", () => {
    const documents = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)];
    for (const document of documents.filter((name) => name.endsWith(".md"))) {
      const names = [...text(document).matchAll(/\bpaperclip_opencode_k8s_\w+/g)].map(([name]) => metricOf(name));
      expect([document, names.filter((name) => !kinds.has(name))]).toEqual([document, []]);
    }
  });

  it.each(alerts)("$name asks for values of labels that there are", ({ expr }) => {
    for (const [, label, values] of expr!.matchAll(/\b(phase|proof|result|reason)=~?"([^"]+)"/g))
      for (const value of values!.split("|")) {
        const isThere = golden.includes(`${label}="${value}"`) || text("src/metrics/phases.rs").includes(`"${value}"`);
        expect(isThere || text("src/metrics/mod.rs").includes(`"${value}"`), `${label}=${value}`).toBe(true);
      }
    const ofRequests = text("src/metrics/requests.rs") + text("src/cluster/client.rs");
    for (const [, values] of expr!.matchAll(/api_requests_total\{code=~"([^"]+)"/g))
      for (const code of values!.split("|").filter((value) => !/^\d[\d.]+$/.test(value)))
        expect(ofRequests, code).toContain(`"${code}"`);
    for (const [, values] of expr!.matchAll(/runs_ended_total\{code=~"([^"]+)"/g))
      for (const code of values!.split("|")) expect(codes.has(code), code).toBe(true);
  });

  it.each(alerts)("$name has a section in the runbook, and says which", ({ name }) => {
    expect(text("docs/runbook.md")).toContain(`\n### ${name}\n`);
    expect(rules).toContain(`runbook: docs/runbook.md#${name!.toLowerCase()}\n`);
  });

  it("are in a dashboard, each of them", () => {
    const all = JSON.stringify(dashboard);
    expect([...kinds.keys()].filter((name) => !all.includes(name))).toEqual([]);
  });

  it("pass promtool, where it is installed", (context) => {
    const promtool = (args: string[], input = "") => spawnSync("promtool", args, { encoding: "utf8", input });
    if (promtool(["--version"]).error) return context.skip();
    expect(promtool(["check", "rules", `${root}deploy/prometheus-rules.yaml`])).toMatchObject({ status: 0 });
    expect(promtool(["check", "metrics"], golden.replace("VERSION", "0.1.0"))).toMatchObject({ status: 0, stderr: "" });
  });
});
