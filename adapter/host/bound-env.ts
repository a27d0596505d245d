/** An agent's variables where the host has not put in what they stand for. */
import type { Fields } from "./fields.js";

/**
 * The variables of an agent as its runs get them: the host puts the values of its bindings in before a run, and neither
 * before its other calls nor where it shows an agent. A secret's value is empty here.
 */
export function withBoundEnv(config: Fields): Fields {
  const { env } = config;
  if (typeof env !== "object" || env === null || Array.isArray(env)) return config;
  const given = (bound: unknown) => (typeof bound === "object" ? ((bound as Fields | null)?.["value"] ?? "") : bound);
  return { ...config, env: Object.fromEntries(Object.entries(env).map(([name, bound]) => [name, given(bound)])) };
}
