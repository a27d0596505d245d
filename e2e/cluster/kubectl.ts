/** kubectl with the rights of whoever started the end-to-end run. */
import { command } from "../command.js";
import type { Options } from "../options.js";

/** Runs kubectl in the namespace of this run. */
export class Kubectl {
  constructor(private readonly options: Pick<Options, "kubectl" | "kubeconfig" | "namespace">) {}

  /** The same rights in another namespace. */
  in(namespace: string): Kubectl {
    return new Kubectl({ ...this.options, namespace });
  }

  run(args: string[], input?: string): Promise<string> {
    const { kubectl, kubeconfig, namespace } = this.options;
    const all = ["--kubeconfig", kubeconfig, "-n", namespace, ...args];
    return command(kubectl, all, { timeoutMs: 150_000, ...(input === undefined ? {} : { input }) });
  }

  async json<T>(args: string[], input?: string): Promise<T> {
    return JSON.parse(await this.run(args, input)) as T;
  }
}
