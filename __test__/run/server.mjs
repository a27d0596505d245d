// A Paperclip server that executes one run and may be killed at any moment: takes the context as JSON from its first
// argument and prints one JSON value per line: each chunk of the log, then the result. Any message aborts the run.
// Its second argument, if there is one, is what `Serving` in server.ts says, or `stay`.
import { createServerAdapter } from "../../dist/index.js";

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const how = process.argv[3] || "{}";
const { stays, stopsAt } = how === "stay" ? { stays: true } : JSON.parse(how);
const cancel = new AbortController();
process.on("message", () => cancel.abort());
const result = await createServerAdapter().execute({
  ...JSON.parse(process.argv[2]),
  signal: cancel.signal,
  onCancellationReady: async () => {},
  onLog: async (stream, chunk) => {
    say({ chunk: [stream, chunk] });
    if (stopsAt && chunk.includes(stopsAt)) process.kill(process.pid, "SIGSTOP");
  },
});
say({ result });
if (!stays) process.disconnect?.();
