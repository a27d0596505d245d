/**
 * The process: a stand-in for a Kubernetes cluster on a loopback port, for tests, benchmarks and the demo. It says one
 * line of JSON when it is ready and ends when its stdin closes, so that it never outlives who started it.
 */

import { parseArgs } from "node:util";
import { Cluster } from "./cluster.js";
import { controlUrl, openControl } from "./control.js";
import type { ClusterOptions, Ready } from "./options.js";

// For what hangs; a busy machine takes its time to end many containers.
const END_MS = 60_000;

const USAGE =
  "usage: node local-cluster.js --root DIR [--port N] [--data DIR] [--bin DIR] [--mapping text|mount] [--options JSON]";

function readArguments(): { root: string; options: ClusterOptions } {
  const { values } = parseArgs({
    options: {
      root: { type: "string" },
      port: { type: "string" },
      data: { type: "string" },
      bin: { type: "string" },
      mapping: { type: "string" },
      options: { type: "string" },
    },
  });
  if (!values.root) throw new Error("--root is missing");
  const options = JSON.parse(values.options ?? "{}") as ClusterOptions;
  if (values.port) options.port = Number(values.port);
  if (values.data) options.dataDir = values.data;
  if (values.bin) options.binDir = values.bin;
  if (values.mapping === "text" || values.mapping === "mount") options.mapping = values.mapping;
  return { root: values.root, options };
}

async function main(): Promise<void> {
  const { root, options } = readArguments();
  const cluster = await Cluster.start(root, options);
  const control = await openControl(cluster);

  let ending = false;
  const end = async (): Promise<void> => {
    if (ending) return;
    ending = true;
    // Whatever hangs, the reaper's pipe breaks with this process.
    setTimeout(() => process.exit(1), END_MS).unref();
    await cluster.stop();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => void end());
  process.stdin
    .on("end", () => void end())
    .on("close", () => void end())
    .on("error", () => void end());
  process.stdin.resume();

  const ready: Ready = { ...cluster.ready, control: controlUrl(control) };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

main().catch((error: unknown) => {
  console.error(`local cluster: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
  process.exit(2);
});
