/** The command line of the package: what it takes, and the words about it. */
import { parseArgs } from "node:util";

/** A command line that cannot be meant; its message is one sentence. */
export class UsageError extends Error {}

/** Options of all commands. Texts unless they are flags. */
export interface Options {
  namespace?: string;
  kubeconfig?: string;
  server?: string;
  config?: string;
  "data-root"?: string;
  image?: string;
  claim?: string;
  watch?: boolean;
  json?: boolean;
  verbose?: boolean;
  help?: boolean;
  version?: boolean;
}

/** What was asked for. */
export interface CommandLine {
  command: string | undefined;
  /** What stands after the command. */
  operands: string[];
  options: Options;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** Reads the arguments. */
export function readCommandLine(args: string[]): CommandLine {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        namespace: { ...text, short: "n" },
        kubeconfig: text,
        server: text,
        config: text,
        "data-root": text,
        image: text,
        claim: text,
        watch: { ...flag, short: "w" },
        json: flag,
        verbose: flag,
        help: { ...flag, short: "h" },
        version: flag,
      },
    });
    const [command, ...operands] = positionals;
    const empty = Object.entries(values).find(([, value]) => typeof value === "string" && value.trim() === "");
    if (empty !== undefined) throw new UsageError(`--${empty[0]} is empty`);
    return { command, operands, options: { ...values } };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split(/\. |\n/, 1)[0] ?? message);
  }
}

/** Which options each command takes, and what it does with how many operands. */
export const commands: Record<string, { options: (keyof Options)[]; operands: [number, number] }> = {
  doctor: { options: ["namespace", "kubeconfig", "server", "config", "data-root", "json"], operands: [0, 0] },
  runs: { options: ["namespace", "kubeconfig", "data-root", "watch", "json"], operands: [0, 0] },
  tail: { options: ["kubeconfig", "data-root", "verbose"], operands: [1, 1] },
  read: { options: ["verbose"], operands: [0, 1] },
  "pod-spec": { options: ["namespace", "config", "image", "claim"], operands: [0, 0] },
};

/** What `--help` shows; no line is wider than 60 columns. */
export const usage = `paperclip-adapter-opencode-k8s COMMAND [options]

doctor     what a run needs, and what is missing: the test
           of the page. Outside of the cluster kubectl
           starts it in the server's pod.
runs       the Jobs of the namespace: agent, state, age,
           bytes of log. Outside of the cluster by kubectl.
tail RUN   shows a run's output, and follows it to its end:
           the pod's record of it, or the cluster's word
           that there is no such pod. Of a run that is over:
           what Paperclip has of it. In the server's pod.
read FILE  shows a log as text; without FILE from a pipe
pod-spec   prints the Job that these settings make

 -n, --namespace NAME  where Jobs run; default the server's.
                       runs, from outside: kubectl's
     --kubeconfig FILE another way to the cluster
     --server NAME     doctor, from outside: the server;
                       default deployment/paperclip
     --config FILE     an agent's settings, as JSON
     --data-root DIR   where /paperclip of the pods is here
     --image NAME      pod-spec: the agent's image
     --claim NAME      pod-spec: the shared claim
 -w, --watch           runs: shows them again every 2 s
     --verbose         tail, read: everything, uncut
     --json            doctor, runs: for programs
 -h, --help            this
     --version         the version

Exit status: 0 all is well, 1 something is not (doctor: an
error; tail: no such run), 2 the command line is wrong.
NO_COLOR is respected. In the server's pod:

  kubectl -n paperclip exec deployment/paperclip \\
    -c paperclip -- sh -c \\
    "cd /paperclip/adapter-plugins &&
     npx paperclip-adapter-opencode-k8s doctor"`;
