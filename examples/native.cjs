// The addon alone, without the adapter and without Paperclip: node examples/native.cjs FILE
//
// Prints the path of a run's log as its pod sees it, then follows FILE until Ctrl-C, one line a call.

const [path] = process.argv.slice(2);
if (!path || path.startsWith("-")) {
  console.error("usage: node examples/native.cjs FILE");
  process.exit(2);
}

const { buildPodLogPath, tailPodLogFile } = addon();

console.log(buildPodLogPath("company-1", "agent-1", "run-1"));

const stopSignal = { stopped: false };
process.once("SIGINT", () => {
  stopSignal.stopped = true;
});

// The reader of a pipe may end first.
process.stdout.on("error", () => process.exit(0));
tailPodLogFile(path, { onLog: async (stream, line) => void process[stream].write(line), stopSignal }).then(
  (text) => console.log(`${text.length} characters`),
  fail,
);

function addon() {
  try {
    return require("paperclip-adapter-opencode-k8s/native");
  } catch (error) {
    return fail(error);
  }
}

function fail(error) {
  console.error(`native: ${error.message}`);
  process.exit(1);
}
