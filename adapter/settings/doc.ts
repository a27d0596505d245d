/** The page the host shows to people and agents who configure an agent of this type; its lists come from the rows. */
import { type SettingRow, settings } from "./config-schema.js";
import { type } from "../host/version.js";

const typeNames: Record<SettingRow["type"], string> = {
  text: "text",
  flag: "true or false",
  duration: "time (seconds, or 90s, 5m, 7d)",
  count: "number",
  bytes: "size (bytes, or 500Mi, 2Gi)",
  quantity: "quantity",
  choice: "one of",
  map: "names and texts (object, JSON, or lines name=value or name: value)",
  words: "list of text",
  list: "list (also as JSON or YAML)",
  object: "object (also as JSON or YAML)",
};

/** The document. */
export const agentConfigurationDoc = [
  `# Agent configuration of ${type}`,
  "Each run of the agent is a Kubernetes Job whose pod runs opencode. The pod shares the volume at /paperclip " +
    "with the Paperclip server; opencode's output goes to a file there and is followed from there.",
  section(
    "Fields of every adapter",
    settings.filter((row) => !row.group && !row.beside).map((row) => describe(row, row.meaning)),
  ),
  ...groups().map(([title, rows]) =>
    section(
      title,
      rows.map((row) => describe(row, row.hint ?? row.meaning)),
    ),
  ),
  section("Taken over from the server's pod", [
    "- image, pull secrets, DNS settings, node selector, tolerations, the shared volume and mounted Secrets",
    "- environment variables, also those from Secrets and ConfigMaps",
  ]),
  section("Good to know", [
    "- PAPERCLIP_API_URL must be an address that pods can reach.",
    "- The shared volume must be ReadWriteMany.",
    "- Runs of one agent follow each other; a second one waits.",
    "- Secrets belong in env, as Paperclip secrets.",
  ]),
].join("\n\n");

function section(title: string, lines: string[]): string {
  return `## ${title}\n\n${lines.join("\n")}`;
}

function groups(): [string, SettingRow[]][] {
  const byGroup = new Map<string, SettingRow[]>();
  for (const row of settings) {
    if (row.group) byGroup.set(row.group, [...(byGroup.get(row.group) ?? []), row]);
  }
  return [...byGroup];
}

function describe(row: SettingRow, meaning: string): string {
  const values = row.options?.map(({ value }) => value).filter(Boolean);
  const kind = values ? `${typeNames[row.type]} ${values.join(", ")}` : typeNames[row.type];
  const fallback = row.default === undefined ? row.fallback : String(row.default);
  return `- ${row.key}: ${kind}, default ${fallback?.replaceAll("`", "")}; ${meaning.replaceAll("`", "")}`;
}
