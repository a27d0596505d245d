/**
 * What the operator says for all agents, whatever their own configuration says: Paperclip lets an agent change its own
 * by its API key, and some settings decide what an agent gets of the server.
 */
import type { Fields } from "../host/fields.js";
import { operatorSettings, OPERATOR_SETTINGS } from "../host/environment.js";

/** An agent's configuration with the operator's word in it, and what to tell about it. */
export interface AgentSettings {
  /** The very object where the operator says nothing. */
  config: Fields;
  warnings: string[];
}

/**
 * The operator's values in the place of the agent's; `null` takes the agent's away, so that the default holds.
 * Throws with the code `k8s_config_invalid` where the operator's cannot be read: then nobody knows what is not allowed.
 */
export function withOperatorSettings(agents: Fields, text = operatorSettings()): AgentSettings {
  const settings = Object.entries(readSettings(text));
  if (settings.length === 0) return { config: agents, warnings: [] };
  const names = new Set(settings.map(([name]) => name));
  const others = Object.entries(agents).filter(([name]) => !names.has(name));
  const given = settings.filter(([, value]) => value !== null);
  const isOther = ([name, value]: [string, unknown]): boolean =>
    !["", null, undefined].includes(agents[name] as null) && JSON.stringify(agents[name]) !== JSON.stringify(value);
  return {
    config: Object.fromEntries([...others, ...given]),
    warnings: settings
      .filter(isOther)
      .map(([name]) => `Warning: ${name} of this agent is not used: ${OPERATOR_SETTINGS} of the server decides it`),
  };
}

function readSettings(text: string | undefined): Fields {
  if (text === undefined) return {};
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (typeof settings === "object" && settings !== null && !Array.isArray(settings)) return settings as Fields;
  const message = `Server's settings unreadable: ${OPERATOR_SETTINGS} is no JSON object. No run starts until it is one`;
  throw Object.assign(new Error(message), { code: "k8s_config_invalid" });
}
