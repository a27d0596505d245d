import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { TailOptions } from "../../adapter/index.js";
import { eventually } from "../adapter/fake-native.js";
import { adapter } from "./package.js";

let dir: string;
let count = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "tail-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

const quick = { pollMs: 5, maxPollMs: 20 };

/** A tail of a new file that holds `content`; without it the file does not exist yet. */
function follow(content?: string | Buffer, options: Partial<TailOptions> = {}) {
  const path = join(dir, `${count++}.pod.ndjson`);
  if (content !== undefined) writeFileSync(path, content);
  const lines: string[] = [];
  const remarks: string[] = [];
  const stopSignal = { stopped: false };
  const onLog: TailOptions["onLog"] = async (stream, chunk) => void (stream === "stdout" ? lines : remarks).push(chunk);
  const result = adapter.tailPodLogFile(path, { onLog, stopSignal, ...quick, ...options });
  result.catch(() => {});
  const finish = async () => {
    stopSignal.stopped = true;
    return result;
  };
  return { path, lines, remarks, stopSignal, result, finish };
}

describe("tailPodLogFile", () => {
  it("gives every line once, as it is written", async () => {
    const { path, lines, finish } = follow("one\n");
    await eventually(() => lines.length === 1);
    appendFileSync(path, "two\nthr");
    await eventually(() => lines.length === 2);
    appendFileSync(path, "ee\n\nfive");
    await eventually(() => lines.length === 4);
    expect(await finish()).toBe("one\ntwo\nthree\n\nfive\n");
    expect(lines).toEqual(["one\n", "two\n", "three\n", "\n", "five\n"]);
  });

  it("waits for the file, and rejects when it never comes", async () => {
    const late = follow();
    writeFileSync(late.path, "hello\n");
    await eventually(() => late.lines.length === 1);
    expect(await late.finish()).toBe("hello\n");
    const never = follow(undefined, { appearTimeoutMs: 50 });
    await expect(never.result).rejects.toThrow(`Pod log file never appeared at ${never.path}`);
  });

  it("reads to the end after the stop", async () => {
    const text = `${"x".repeat(99)}\n`;
    const { result, lines } = follow(text.repeat(20_000), { stopSignal: { stopped: true } });
    expect(await result).toBe(text.repeat(20_000));
    expect(lines).toHaveLength(20_000);
  });

  it("frames bytes, not characters", async () => {
    const bytes = Buffer.from("é🎉\r\nzwei\r\n");
    const { path, lines, finish } = follow("");
    for (const byte of bytes) appendFileSync(path, Buffer.of(byte));
    appendFileSync(path, Buffer.from([0xff, 0x0a]));
    await eventually(() => lines.length === 3);
    expect(await finish()).toBe("é🎉\r\nzwei\r\n\ufffd\n");
    expect(lines).toEqual(["é🎉\r\n", "zwei\r\n", "\ufffd\n"]);
  });

  it("stops by an AbortSignal too", async () => {
    const controller = new AbortController();
    const { result, lines } = follow("one\n", { stopSignal: undefined, signal: controller.signal });
    await eventually(() => lines.length === 1);
    controller.abort();
    expect(await result).toBe("one\n");
  });

  it("keeps nothing when it shall not", async () => {
    const { lines, finish } = follow("one\n", { collect: false });
    await eventually(() => lines.length === 1);
    expect(await finish()).toBe("");
  });

  it("starts again after a truncation, says so, and repeats nothing", async () => {
    const { path, lines, remarks, finish } = follow("one\ntwo\n");
    await eventually(() => lines.length === 2);
    truncateSync(path, 0);
    appendFileSync(path, "1\n");
    await eventually(() => lines.length === 3);
    await finish();
    expect(lines).toEqual(["one\n", "two\n", "1\n"]);
    expect(remarks).toHaveLength(1);
  });

  it("refuses what is no file", async () => {
    const path = join(dir, "fifo");
    execFileSync("mkfifo", [path]);
    for (const target of [path, dir]) {
      await expect(adapter.tailPodLogFile(target, { onLog: () => {}, ...quick })).rejects.toThrow();
    }
  });
});

describe("a callback that misbehaves", () => {
  it("may throw, reject, or never answer", async () => {
    const never = () => new Promise<void>(() => {});
    const reject = () => Promise.reject(new Error("rejected"));
    const fail = () => {
      throw new Error("thrown");
    };
    for (const onLog of [fail, reject, never]) {
      const { finish } = follow("one\ntwo\n", { onLog, sinkTimeoutMs: 20 });
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect(await finish()).toBe("one\ntwo\n");
    }
  });
});

it("lets the process end when it may", () => {
  const entry = new URL("../../dist/index.js", import.meta.url).href;
  const path = join(dir, `${count++}.pod.ndjson`);
  writeFileSync(path, "one\n");
  const script = `
    const { tailPodLogFile } = await import(${JSON.stringify(entry)});
    const hold = setInterval(() => {}, 1_000);
    const onLog = (stream, line) => { process.stdout.write(line); clearInterval(hold); };
    void tailPodLogFile(process.argv[1], { onLog, ref: false });`;
  const args = ["--input-type=module", "-e", script, path];
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  expect(execFileSync(process.execPath, args, { cwd, encoding: "utf8", timeout: 300_000 })).toBe("one\n");
});
