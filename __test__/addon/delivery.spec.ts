import { getEventListeners } from "node:events";

import { afterEach, describe, expect, it, vi } from "vitest";

import type { OnLog, TailOptions } from "../../index.js";
import { deferred, eventually } from "../adapter/fake-native.js";
import { loadScript, settled } from "./script.js";

function tail(options: Partial<TailOptions> = {}) {
  const { native, tails } = loadScript();
  const lines: string[] = [];
  const reports: string[] = [];
  const onLog: OnLog = async (stream, chunk) => void (stream === "stdout" ? lines : reports).push(chunk);
  const result = native.tailPodLogFile("/log", { onLog, ...options });
  const [handle] = tails;
  if (!handle) throw new Error("no tail was started");
  return { lines, reports, result, handle };
}

afterEach(() => void vi.useRealTimers());

describe("tailPodLogFile", () => {
  it("hands out batches line by line, in order, one at a time", async () => {
    let running = 0;
    const lines: string[] = [];
    const { result, handle, reports } = tail({
      onLog: async (stream, chunk) => {
        expect(++running).toBe(1);
        await Promise.resolve();
        running--;
        if (stream === "stdout") lines.push(chunk);
        else reports.push(chunk);
      },
    });
    await handle.lines("one\n\ntwo\n");
    await handle.give("notice", "the file was replaced");
    await handle.lines("three\n");
    handle.finish();
    expect(await result).toBe("one\n\ntwo\nthree\n");
    expect(lines).toEqual(["one\n", "\n", "two\n", "three\n"]);
    expect(reports).toEqual(["[paperclip] the file was replaced\n"]);
  });

  it("passes on the options that are Rust's business", async () => {
    const { result, handle } = tail({
      pollMs: 5,
      maxPollMs: 6,
      idlePolls: 7,
      appearTimeoutMs: 8,
      collect: false,
      ref: false,
    });
    expect(handle.path).toBe("/log");
    expect(handle.options).toEqual({ pollMs: 5, maxPollMs: 6, idlePolls: 7, appearTimeoutMs: 8, collect: false });
    const forEver = tail({ appearTimeoutMs: Infinity, dataRoot: "/mnt" });
    expect(forEver.handle.options).toMatchObject({
      appearTimeoutMs: 1e12,
      dataRoot: "/mnt",
      collect: true,
      pollMs: 250,
    });
    forEver.handle.finish();
    handle.finish();
    await result;
  });

  it("rejects as the native side does", async () => {
    const { result, handle } = tail();
    void handle.give("failed", "Pod log file never appeared at /log");
    await expect(result).rejects.toThrow("Pod log file never appeared at /log");
  });

  const onLog = () => {};
  const never = new Proxy(
    {},
    {
      get() {
        throw new Error("no");
      },
    },
  );
  it.each<[string, unknown, unknown]>([
    ["filePath must be a text, it is a number", 5, { onLog }],
    ["filePath must be the path of a log file", "", { onLog }],
    ["options must be an object, it is undefined", "/log", undefined],
    ["options.onLog must be a function, it is undefined", "/log", {}],
    ["options.onLog must be a function, it is a text", "/log", { onLog: "x" }],
    ["options.onLines must be a function, it is a number", "/log", { onLines: 1 }],
    ["options.pollMs must be a number, it is a text", "/log", { onLog, pollMs: "5" }],
    ["options.pollMs must be at least 0, it is NaN", "/log", { onLog, pollMs: Number.NaN }],
    ["options.appearTimeoutMs must be at least 0, it is -1", "/log", { onLog, appearTimeoutMs: -1 }],
    ["options.collect must be true or false, it is a text", "/log", { onLog, collect: "no" }],
    ["options.signal must be an AbortSignal", "/log", { onLog, signal: { stopped: false } }],
    ["options.signal must be an AbortSignal", "/log", { onLog, signal: { addEventListener() {} } }],
    ["options.stopSignal must be a {stopped} flag", "/log", { onLog, stopSignal: true }],
    ["an AbortSignal goes to options.signal", "/log", { onLog, stopSignal: new AbortController().signal }],
    ["options.pollMs cannot be read: no", "/log", never],
    ["options.signal.addEventListener cannot be read: no", "/log", { onLog, signal: never }],
  ])("refuses by name, and follows nothing: %s", async (message, path, options) => {
    const { native, tails } = loadScript();
    const result = native.tailPodLogFile(path as never, options as never);
    await expect(result).rejects.toBeInstanceOf(TypeError);
    await expect(result).rejects.toThrow(message);
    expect(tails).toHaveLength(0);
  });

  it("is stopped by the flag, also one that is set already or cannot be read", async () => {
    const flag = { stopped: false };
    const late = tail({ stopSignal: flag });
    expect(late.handle.stops).toBe(0);
    flag.stopped = true;
    await late.result;
    expect(tail({ stopSignal: { stopped: true } }).handle.stops).toBe(1);
    const broken = {
      get stopped(): boolean {
        throw new Error("gone");
      },
    };
    expect(tail({ stopSignal: broken }).handle.stops).toBe(1);
  });

  it("ends with what a signal throws that is none of the platform's, and leaves nothing behind", async () => {
    const no = () => {
      throw new Error("no listeners");
    };
    const signal = { aborted: false, addEventListener: no, removeEventListener() {} } as unknown as AbortSignal;
    const first = tail({ signal });
    await expect(first.result).rejects.toThrow("no listeners");
    expect(first.handle.stops).toBe(1);
    const second = tail({ signal: { ...signal, aborted: true, removeEventListener: no } });
    await expect(second.result).rejects.toThrow("no listeners");
    expect(second.handle.stops).toBe(1);
  });

  it("is stopped by an AbortSignal, also an aborted one, and leaves no listener", async () => {
    const controller = new AbortController();
    const { result, handle } = tail({ signal: controller.signal });
    controller.abort();
    await result;
    expect(handle.stops).toBe(1);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    expect(tail({ signal: AbortSignal.abort() }).handle.stops).toBe(1);
  });

  it("gives all lines of a text in one awaited call where it is asked to", async () => {
    const { native, tails } = loadScript();
    const chunks: string[] = [];
    const remarks: string[] = [];
    let running = 0;
    const result = native.tailPodLogFile("/log", {
      onLines: async (chunk) => {
        expect(++running).toBe(1);
        await settled();
        running--;
        chunks.push(chunk);
      },
      onLog: (_stream, remark) => void remarks.push(remark),
    });
    const [handle] = tails;
    await Promise.all([
      handle!.lines("one\ntwo\n"),
      handle!.give("notice", "it was replaced"),
      handle!.lines("three\n"),
    ]);
    handle!.finish();
    expect(await result).toBe("one\ntwo\nthree\n");
    expect([chunks, remarks]).toEqual([["one\ntwo\n", "three\n"], ["[paperclip] it was replaced\n"]]);
  });
});

describe("a callback that misbehaves", () => {
  it("may throw and reject: each is reported once and every line is still offered", async () => {
    let calls = 0;
    const reports: string[] = [];
    const { result, handle } = tail({
      onLog: (stream, chunk) => {
        if (stream === "stderr") return void reports.push(chunk);
        calls++;
        if (calls % 2) throw new Error("thrown");
        return Promise.reject(new Error("rejected"));
      },
    });
    await handle.lines("1\n2\n3\n4\n");
    handle.finish();
    await result;
    expect(calls).toBe(4);
    expect(reports).toHaveLength(2);
  });

  it("may return nothing, or something that is no promise", async () => {
    const seen: string[] = [];
    const { handle, result } = tail({ onLog: ((_stream: string, chunk: string) => seen.push(chunk)) as never });
    await handle.lines("1\n2\n");
    handle.finish();
    await result;
    expect(seen).toEqual(["1\n", "2\n"]);
  });

  it("may never answer: the tail waits once, says so once and goes on; an answer ends that", async () => {
    const stuck = deferred<void>();
    const seen: string[] = [];
    const reports: string[] = [];
    const { handle, result } = tail({
      sinkTimeoutMs: 20,
      onLog: (stream, chunk) => {
        if (stream === "stderr") return void reports.push(chunk);
        seen.push(chunk);
        return seen.length === 1 ? stuck.promise : Promise.resolve();
      },
    });
    await handle.lines("1\n2\n3\n");
    expect(seen).toEqual(["1\n", "2\n", "3\n"]);
    expect(reports).toHaveLength(1);
    stuck.resolve();
    await eventually(() => true);
    await handle.lines("4\n");
    handle.finish();
    await result;
    expect(seen).toHaveLength(4);
  });

  it("may never answer at all", async () => {
    const seen: string[] = [];
    const { handle, result } = tail({
      sinkTimeoutMs: 10,
      onLog: (_stream, chunk) => {
        seen.push(chunk);
        return new Promise(() => {});
      },
    });
    await handle.lines(Array.from({ length: 1000 }, (_, index) => `${index}\n`).join(""));
    handle.finish();
    await result;
    expect(seen.filter((line) => !line.startsWith("[paperclip]"))).toHaveLength(1000);
  });
});

it("ends soon after a stop although a call never answers", async () => {
  vi.useFakeTimers();
  const stopTail = vi.fn();
  const { native, tails } = loadScript({ stopTail });
  const flag = { stopped: false };
  const onLog: OnLog = () => new Promise(() => {});
  const result = native.tailPodLogFile("/log", { stopSignal: flag, onLog });
  const handle = tails[0]!;
  let isDelivered = false;
  void handle.lines("1\n2\n").then(() => {
    isDelivered = true;
  });
  flag.stopped = true;
  await vi.advanceTimersByTimeAsync(4_000);
  expect([isDelivered, stopTail.mock.calls.length]).toEqual([true, 1]);
  handle.finish();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(vi.getTimerCount(), "no timer is left").toBe(0);
  expect(await result).toBe("1\n2\n");
});

it("delivers under replaced timers", async () => {
  const { native, tails } = loadScript();
  vi.useFakeTimers();
  const lines: string[] = [];
  const result = native.tailPodLogFile("/log", { onLog: async (_stream, line) => void lines.push(line) });
  await tails[0]!.lines("1\n2\n");
  tails[0]!.finish();
  expect([await result, lines]).toEqual(["1\n2\n", ["1\n", "2\n"]]);
});

it("delivers a million lines", async () => {
  let count = 0;
  const { handle, result } = tail({ onLog: async () => void count++ });
  const batch = `${"x".repeat(199)}\n`.repeat(10_000);
  for (let round = 0; round < 100; round++) await handle.lines(batch);
  handle.finish();
  await result;
  expect(count).toBe(1_000_000);
});
