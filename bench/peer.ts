/**
 * The peer of the benchmark: the tail as the user wrote it, literally, in TypeScript. Wait up to 30 s for the file,
 * polling every 250 ms; then poll every 250 ms, back off to 1000 ms after 5 polls without growth, back to 250 ms on
 * growth; every complete line goes to `onLog`, one at a time and awaited, and into the returned string; a stop ends
 * the loop after one final read to the end. It is kept as it is: its weaknesses are what is measured.
 */
import { open, stat } from "node:fs/promises";

/** The user's options. */
interface PeerOptions {
  onLog: (stream: "stdout" | "stderr", chunk: string) => Promise<void>;
  stopSignal: { stopped: boolean };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The user's `tailPodLogFile`. */
export async function tailPodLogFile(filePath: string, { onLog, stopSignal }: PeerOptions): Promise<string> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await stat(filePath);
      break;
    } catch {
      if (Date.now() >= deadline) throw new Error(`Pod log file never appeared at ${filePath}`);
      if (stopSignal.stopped) return "";
      await sleep(250);
    }
  }
  const file = await open(filePath, "r");
  const lines: string[] = [];
  let offset = 0;
  let partial = "";
  let idlePolls = 0;

  const readNew = async (): Promise<boolean> => {
    const { size } = await file.stat();
    if (size <= offset) return false;
    const buffer = Buffer.alloc(size - offset);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) return false;
    offset += bytesRead;
    const parts = (partial + buffer.toString("utf-8", 0, bytesRead)).split("\n");
    partial = parts.pop() ?? "";
    for (const part of parts) {
      const line = `${part}\n`;
      lines.push(line);
      await onLog("stdout", line);
    }
    return true;
  };

  try {
    while (!stopSignal.stopped) {
      if (await readNew()) idlePolls = 0;
      else idlePolls++;
      if (stopSignal.stopped) break;
      await sleep(idlePolls >= 5 ? 1_000 : 250);
    }
    while (await readNew());
    if (partial) {
      lines.push(`${partial}\n`);
      await onLog("stdout", `${partial}\n`);
    }
    return lines.join("");
  } finally {
    await file.close();
  }
}
