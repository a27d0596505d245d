// Follows a log file and prints its lines, until Ctrl-C: node examples/tail-file.mjs FILE
//
// The same function that Paperclip's runs use: it waits for the file, survives truncation and replacement, and gives
// every complete line once.

const [path] = process.argv.slice(2);
if (!path || path.startsWith("-")) {
  console.error("usage: node examples/tail-file.mjs FILE");
  process.exit(2);
}

const { tailPodLogFile } = await import("paperclip-adapter-opencode-k8s").catch(fail);

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
// The reader of a pipe may end first.
process.stdout.on("error", () => process.exit(0));

await tailPodLogFile(path, {
  // One at a time: the next line waits for this promise.
  onLog: async (stream, line) => {
    process[stream].write(line);
  },
  signal: stop.signal,
  // The lines were printed; nothing need be kept for a result.
  collect: false,
}).catch(fail);

function fail(error) {
  console.error(`tail-file: ${error.message}`);
  process.exit(1);
}
