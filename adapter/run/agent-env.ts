/** The agent's own variables, in the shim's words. */
import { parseObject } from "@paperclipai/adapter-utils/server-utils";

import type { Native } from "../addon/native.js";
import type { Fields } from "../host/fields.js";

/**
 * The variables that the configuration's `env` sets, by name. People write it as text too, which only the addon reads;
 * of a text that cannot be read there are none here, and the addon refuses it by name.
 */
export function agentEnvironment(native: Native, config: Fields): Fields {
  const { env } = config;
  if (typeof env !== "string") return parseObject(env);
  try {
    return native.agentEnvironment({ env });
  } catch {
    return {};
  }
}
