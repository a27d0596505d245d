/** `npx paperclip-adapter-opencode-k8s`: what an operator asks in a terminal. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";

import type { AdapterEnvironmentTestResult } from "@paperclipai/adapter-utils";

import type * as Adapter from "../adapter/index.js";
import { withBoundEnv } from "../adapter/host/bound-env.js";
import { SHIM_VERSION } from "../adapter/host/version.js";
import { doctor } from "./doctor.js";
import { read, tail } from "./log.js";
import { podSpec } from "./pod-spec.js";
import { runs } from "./runs.js";
import { terminal } from "./screen.js";
import { isOutside, testInServerPod } from "./server-pod.js";
import { type CommandLine, commands, type Options, readCommandLine, usage, UsageError } from "./usage.js";

/** Names as Kubernetes takes them. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

const screen = terminal();
// The reader of a pipe may end first, as `head` does.
process.stdout.on("error", () => process.exit(0));

try {
  process.exitCode = await main(readCommandLine(process.argv.slice(2)));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const isUsage = error instanceof UsageError;
  screen.note(`${message}${isUsage ? "; --help shows all" : ""}`);
  process.exitCode = isUsage ? 2 : 1;
}

async function main({ command, operands, options }: CommandLine): Promise<number> {
  if (options.version) {
    screen.print(SHIM_VERSION ?? "unbundled");
    return 0;
  }
  if (options.help || command === undefined) {
    screen.print(usage);
    return options.help ? 0 : 2;
  }
  check(command, operands, options);
  checkValues(command, options);
  const dataRoot = options["data-root"] ?? process.env["PAPERCLIP_K8S_DATA_ROOT"] ?? "/paperclip";
  const [operand = ""] = operands;
  const verbose = options.verbose ?? false;
  switch (command) {
    case "doctor":
      return doctor(await testEnvironment(options), options.json ?? false, screen);
    case "runs":
      return runs({ namespace: options.namespace, kubeconfig: options.kubeconfig, dataRoot }, options, screen);
    case "tail":
      return tail(await adapter(), operand, { dataRoot, kubeconfig: options.kubeconfig, verbose }, screen);
    case "read":
      return read(operand === "-" ? undefined : operands[0], verbose, screen);
    default:
      return podSpec(await adapter(), configOf(options), options, screen);
  }
}

/** Here, or from outside in the server's pod; there `--namespace` and `--kubeconfig` are kubectl's. */
async function testEnvironment(options: Options): Promise<AdapterEnvironmentTestResult> {
  const { namespace, kubeconfig, server, "data-root": dataRoot, ...more } = options;
  if (server !== undefined || isOutside(dataRoot)) {
    return testInServerPod({ namespace, kubeconfig }, server, configOf(more));
  }
  const { testEnvironment, type } = await adapter();
  return testEnvironment({ companyId: "", adapterType: type, config: configOf(options) });
}

function check(command: string, operands: string[], options: Options): void {
  const known = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (known === undefined) throw new UsageError(`there is no command ${command}`);
  const [least, most] = known.operands;
  if (operands.length < least) throw new UsageError(`${command} needs the id of a run`);
  if (operands.includes("")) throw new UsageError(`${command} does not take an empty argument`);
  if (operands.length > most) throw new UsageError(`${command} does not take ${operands[most]}`);
  const strange = (Object.keys(options) as (keyof Options)[]).find((option) => !known.options.includes(option));
  if (strange !== undefined) throw new UsageError(`${command} has no option --${strange}`);
}

/** What is a name of Kubernetes, or a file: a wrong one would come back in words of kubectl, or not at all. */
function checkValues(command: string, { namespace, claim, kubeconfig }: Options): void {
  if (namespace !== undefined && !NAMESPACE.test(namespace)) {
    throw new UsageError(`--namespace ${namespace} is no name of a namespace`);
  }
  if (claim !== undefined && !NAME.test(claim)) throw new UsageError(`--claim ${claim} is no name of a claim`);
  // The environment test has a finding for it.
  if (command !== "doctor" && kubeconfig !== undefined && !isFile(kubeconfig)) {
    throw new UsageError(`--kubeconfig ${kubeconfig} is no file`);
  }
}

function isFile(path: string): boolean {
  try {
    // A pipe will do: `--kubeconfig <(command)`.
    return !statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** An agent's settings: those of the file, and what was said beside it. */
function configOf(options: Options): Record<string, unknown> {
  const { config: file, namespace, image, kubeconfig, "data-root": dataRoot } = options;
  const paths = Object.entries({ kubeconfig, dataRoot }).map(([key, path]) => [key, path && resolve(path)] as const);
  const said = [["namespace", namespace] as const, ["image", image] as const, ...paths].filter(
    ([, value]) => value !== undefined,
  );
  return { ...(file === undefined ? {} : withBoundEnv(readConfig(file))), ...Object.fromEntries(said) };
}

function readConfig(file: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file === "-" ? 0 : file, "utf8"));
  } catch (error) {
    throw new UsageError(`--config ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new UsageError(`--config ${file} is no JSON object`);
  }
  // The whole agent, as the API gives it, will do as well.
  const { adapterConfig = parsed } = parsed as { adapterConfig?: unknown };
  if (typeof adapterConfig !== "object" || adapterConfig === null || Array.isArray(adapterConfig)) {
    throw new UsageError(`--config ${file}: adapterConfig is no JSON object`);
  }
  return adapterConfig as Record<string, unknown>;
}

/** The package beside this file, with its native part: loaded only by what needs it. */
function adapter(): Promise<typeof Adapter> {
  return import(new URL("./index.js", import.meta.url).href) as Promise<typeof Adapter>;
}
