/** The page the host shows to people and agents who configure an agent of this type; the schema makes its tables. */
import type { ConfigFieldSchema } from "@paperclipai/adapter-utils";

import { getConfigSchema } from "./config-schema.js";
import { type } from "../host/version.js";

/** Fields the host's own form has for every adapter, with what they mean. */
export const hostFields: readonly (readonly [key: string, meaning: string])[] = [
  ["model", "text; opencode's model id, provider/model, for example anthropic/claude-sonnet-4-6"],
  ["promptTemplate", "text; the heartbeat prompt, with {{agent.id}}, {{agent.name}}, {{runId}} and {{context.…}}"],
  ["bootstrapPromptTemplate", "text; added to the prompt of a fresh session only"],
  ["cwd", "text; working directory in the pod when the task has no workspace"],
  ["extraArgs", "list of text; further arguments of opencode run"],
  ["env", "object; variables of the agent; they win over inherited ones"],
  ["timeoutSec", "number; ends a run after so many seconds; 0: no limit"],
  ["graceSec", "number, 60; how much later the server itself gives up after timeoutSec"],
];

const typeNames: Record<ConfigFieldSchema["type"], string> = {
  text: "text",
  textarea: "text",
  combobox: "text",
  select: "one of",
  toggle: "true or false",
  number: "number",
};

/** The document. */
export const agentConfigurationDoc = [
  `# Agent configuration of ${type}`,
  "Each run of the agent is a Kubernetes Job whose pod runs opencode. The pod shares the volume at /paperclip " +
    "with the Paperclip server; opencode's output goes to a file there and is followed from there.",
  section(
    "Fields of every adapter",
    hostFields.map(([key, meaning]) => `- ${key}: ${meaning}`),
  ),
  ...groups().map(([title, fields]) => section(title, fields.map(describeField))),
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

function groups(): [string, ConfigFieldSchema[]][] {
  const byGroup = new Map<string, ConfigFieldSchema[]>();
  for (const field of getConfigSchema().fields) {
    const title = field.group ?? "Other";
    byGroup.set(title, [...(byGroup.get(title) ?? []), field]);
  }
  return [...byGroup];
}

function describeField(field: ConfigFieldSchema): string {
  const values = field.options?.map((option) => option.value).join(", ");
  const kind = values ? `${typeNames[field.type]} ${values}` : typeNames[field.type];
  const fallback = field.default === undefined ? "" : `, default ${String(field.default)}`;
  const meaning = field.hint ?? field.label;
  return `- ${field.key}: ${kind}${fallback}; ${meaning}`;
}
