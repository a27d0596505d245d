/**
 * The environment of a container: what the cluster adds for every container, then `envFrom`, then `env` in order, each
 * value seeing the ones before it.
 */

import type { Container, EnvVar, KubeObject, Pod } from "../objects.js";
import type { Store } from "../store/store.js";
import { expand } from "./expand.js";

/** A reference that cannot be resolved yet: the container waits with CreateContainerConfigError. */
export class ConfigError extends Error {}

export class Environment {
  readonly #store: Store;
  readonly #service: Record<string, string>;

  /** `apiPort` is what the service variables point to. */
  constructor(store: Store, apiPort: number) {
    this.#store = store;
    const port = String(apiPort);
    this.#service = {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: port,
      KUBERNETES_SERVICE_PORT_HTTPS: port,
      KUBERNETES_PORT: `tcp://127.0.0.1:${port}`,
    };
  }

  of(pod: Pod, container: Container): Record<string, string> {
    const namespace = pod.metadata.namespace!;
    const env: Record<string, string> = { ...this.#service };
    for (const source of container.envFrom ?? []) {
      const reference = source.secretRef ?? source.configMapRef;
      const data = source.secretRef
        ? this.#data("secrets", namespace, reference?.name, reference?.optional)
        : this.#data("configmaps", namespace, reference?.name, reference?.optional);
      for (const [key, value] of Object.entries(data ?? {})) env[(source.prefix ?? "") + key] = value.toString();
    }
    for (const variable of container.env ?? []) {
      const value = this.#value(pod, variable, (name) => env[name]);
      if (value !== undefined) env[variable.name] = value;
    }
    return env;
  }

  #value(pod: Pod, { value, valueFrom }: EnvVar, known: (name: string) => string | undefined): string | undefined {
    if (!valueFrom) return expand(value ?? "", known);
    if (valueFrom.fieldRef) return fieldOf(pod, valueFrom.fieldRef.fieldPath);
    const reference = valueFrom.secretKeyRef ?? valueFrom.configMapKeyRef;
    if (!reference) return undefined;
    const [resource, kind] = valueFrom.secretKeyRef
      ? (["secrets", "Secret"] as const)
      : (["configmaps", "ConfigMap"] as const);
    const namespace = pod.metadata.namespace!;
    const data = this.#data(resource, namespace, reference.name, reference.optional);
    const bytes = data?.[reference.key];
    if (bytes === undefined && !reference.optional) {
      throw new ConfigError(`couldn't find key ${reference.key} in ${kind} ${namespace}/${reference.name}`);
    }
    return bytes?.toString();
  }

  #data(
    resource: "secrets" | "configmaps",
    namespace: string,
    name = "",
    optional = false,
  ): Record<string, Buffer> | undefined {
    const object = this.#store.get(resource, namespace, name);
    if (object) return contentOf(object);
    if (optional) return undefined;
    throw new ConfigError(`${resource.slice(0, -1)} "${name}" not found`);
  }
}

/** The keys of a Secret or ConfigMap as bytes. */
export function contentOf(object: KubeObject): Record<string, Buffer> {
  const encoding = object.kind === "Secret" ? "base64" : "utf8";
  const text = Object.entries((object.data ?? {}) as Record<string, string>).map(
    ([key, value]) => [key, Buffer.from(value, encoding)] as const,
  );
  const binary = Object.entries((object.binaryData ?? {}) as Record<string, string>).map(
    ([key, value]) => [key, Buffer.from(value, "base64")] as const,
  );
  return Object.fromEntries([...text, ...binary]);
}

/** What a field of the pod says, as text. */
export function fieldOf(pod: Pod, path: string): string {
  const entry = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (entry) return pod.metadata[entry[1] as "labels" | "annotations"]?.[entry[2]!] ?? "";
  if (path === "status.podIP" || path === "status.hostIP") return "127.0.0.1";
  return String(path.split(".").reduce<any>((at, field) => at?.[field], pod) ?? "");
}
