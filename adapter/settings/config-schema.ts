/** The form of the host's page, made of the rows that the addon reads as well. */
import type { AdapterConfigSchema, ConfigFieldSchema } from "@paperclipai/adapter-utils";

// biome-ignore lint/style/noRestrictedImports: the one file that both halves read; it is data, not a room.
import rows from "../../src/config/settings.json" with { type: "json" };

/** What the page needs to know of one setting; `src/config/row.rs` says what each part means. */
export interface SettingRow {
  key: string;
  type: "text" | "flag" | "duration" | "count" | "bytes" | "quantity" | "choice" | "map" | "words" | "list" | "object";
  default?: string | number | boolean;
  prefill?: boolean;
  options?: { value: string; label: string }[];
  group?: string;
  label?: string;
  hint?: string;
  input?: ConfigFieldSchema["type"];
  visibleWhen?: { key: string; values?: string[]; notValues?: string[] };
  beside?: boolean;
  reader?: "run" | "shim" | "environmentTest";
}

/** All settings, in the order of the README. */
export const settings: readonly SettingRow[] = rows as SettingRow[];

/** All others are one line of text. */
const inputs: Partial<Record<SettingRow["type"], ConfigFieldSchema["type"]>> = {
  flag: "toggle",
  choice: "select",
  map: "textarea",
  list: "textarea",
  object: "textarea",
};

/** The schema; model, env and extra arguments are fields of the host itself. */
export function getConfigSchema(): AdapterConfigSchema {
  return { fields: settings.flatMap(toField) };
}

function toField(row: SettingRow): ConfigFieldSchema[] {
  const { key, label, hint, group, options, visibleWhen } = row;
  if (label === undefined || hint === undefined || group === undefined) return [];
  return [
    {
      key,
      label,
      type: row.input ?? inputs[row.type] ?? "text",
      hint,
      group,
      ...(options && { options }),
      ...(row.default !== undefined && row.prefill !== false && { default: row.default }),
      ...(visibleWhen && { meta: { visibleWhen } }),
    },
  ];
}
