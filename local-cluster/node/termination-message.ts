/** What a container leaves as its last words: its termination file, or by policy the end of its output. */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { readOutput } from "./output-log.js";

const FILE_LIMIT = 4096;
const LOG_LIMIT = 2048;
const LOG_LINES = 80;

interface LastWords {
  file: string;
  output: string;
  policy: string | undefined;
  exitCode: number;
}

export function terminationMessage({ file, output, policy, exitCode }: LastWords): string {
  const written = tail(file, FILE_LIMIT);
  // Bytes that are not UTF-8 become U+FFFD, as on their way through the API.
  if (written.length > 0) return written.toString("utf8");
  if (policy !== "FallbackToLogsOnError" || exitCode === 0) return "";
  const end = readOutput(output).subarray(-LOG_LIMIT).toString("utf8");
  const lines = end.split("\n");
  const last = lines.at(-1) === "" ? LOG_LINES + 1 : LOG_LINES;
  return lines.slice(-last).join("\n");
}

/** The last bytes of a file: the kubelet keeps the end of a message that is too long. */
function tail(path: string, limit: number): Buffer {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.min(size, limit));
    const read = readSync(fd, buffer, 0, buffer.length, Math.max(0, size - limit));
    return buffer.subarray(0, read);
  } finally {
    closeSync(fd);
  }
}
