/** The adapter as a package that Paperclip installs. */
import type { Stage } from "../stage.js";

/** Installs it over the server's API, as an operator does by its name; somebody else's server may have it already. */
export async function installed(stage: Stage, { name, version }: { name: string; version: string }): Promise<void> {
  const { api } = stage.company;
  await stage.check("install over Paperclip's API", `opencode_k8s ${version}`, async () => {
    const answer = stage.server
      ? await api.post<{ type: string; version: string }>("/api/adapters/install", { packageName: name, version })
      : await api.get<{ type: string; version: string }>("/api/adapters/opencode_k8s");
    return {
      seen: `${answer.type} ${answer.version}`,
      ok: answer.type === "opencode_k8s" && answer.version === version,
    };
  });
  await stage.check("the adapter as Paperclip lists it", "loaded, with models and a config schema", async () => {
    const adapter = await api.get<{ loaded?: boolean; modelsCount?: number }>("/api/adapters/opencode_k8s");
    const schema = await api.get<{ fields: unknown[] }>("/api/adapters/opencode_k8s/config-schema");
    const seen = `loaded: ${adapter.loaded}, ${adapter.modelsCount} models, ${schema.fields.length} fields`;
    return { seen, ok: adapter.loaded === true && (adapter.modelsCount ?? 0) > 0 && schema.fields.length > 0 };
  });
}
