import { getEventListeners } from "node:events";

import { afterEach, describe, expect, it, vi } from "vitest";

import { createTailPodLogFile, type TailOptions } from "../../adapter/tail/tail.js";
import { deferred, eventually, fakeNative } from "./fake-native.js";

function tail(options: Partial<TailOptions> = {}) {
  const native = fakeNative();
  const lines: string[] = [];
  const reports: string[] = [];
  const onLog: TailOptions["onLog"] = async (stream, chunk) => void (stream === "stdout" ? lines : reports).push(chunk);
  const result = createTailPodLogFile(() => native)("/log", { onLog, ...options });
  const [handle] = native.tails;
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
    await handle.sink("stdout", "one\n\ntwo\n");
    await handle.sink("stderr", "the file was replaced");
    await handle.sink("stdout", "three");
    handle.finish();
    expect(await result).toBe("one\n\ntwo\nthree");
    expect(lines).toEqual(["one\n", "\n", "two\n", "three\n"]);
    expect(reports).toEqual(["[paperclip] the file was replaced\n"]);
  });

  it("passes its options on, without those that are JavaScript's business", async () => {
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
    handle.finish();
    await result;
  });

  it("rejects as the native side does", async () => {
    const { result, handle } = tail();
    handle.fail("Pod log file never appeared at /log");
    await expect(result).rejects.toThrow("Pod log file never appeared at /log");
  });

  it("refuses what cannot work", async () => {
    const run = createTailPodLogFile(() => fakeNative());
    await expect(run("", { onLog: () => {} })).rejects.toThrow("path of a log file");
    await expect(run("/log", {} as TailOptions)).rejects.toThrow("onLog");
    await expect(run("/log", undefined as unknown as TailOptions)).rejects.toThrow("onLog");
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

  it("is stopped by an AbortSignal, also an aborted one, and leaves no listener", async () => {
    const controller = new AbortController();
    const { result, handle } = tail({ signal: controller.signal });
    controller.abort();
    await result;
    expect(handle.stops).toBe(1);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
    expect(tail({ signal: AbortSignal.abort() }).handle.stops).toBe(1);
  });

  it("refuses a signal that is none, before it follows anything", async () => {
    const native = fakeNative();
    const options = { onLog: () => {}, signal: { stopped: false } } as unknown as TailOptions;
    await expect(createTailPodLogFile(() => native)("/log", options)).rejects.toThrow("AbortSignal");
    expect(native.tails).toHaveLength(0);
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
    await handle.sink("stdout", "1\n2\n3\n4\n");
    handle.finish();
    await result;
    expect(calls).toBe(4);
    expect(reports).toHaveLength(2);
  });

  it("may return nothing, or something that is no promise", async () => {
    const seen: string[] = [];
    const { handle, result } = tail({ onLog: ((_stream: string, chunk: string) => seen.push(chunk)) as never });
    await handle.sink("stdout", "1\n2\n");
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
    await handle.sink("stdout", "1\n2\n3\n");
    expect(seen).toEqual(["1\n", "2\n", "3\n"]);
    expect(reports).toHaveLength(1);
    stuck.resolve();
    await eventually(() => true);
    await handle.sink("stdout", "4\n");
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
    await handle.sink("stdout", Array.from({ length: 1000 }, (_, index) => `${index}\n`).join(""));
    handle.finish();
    await result;
    expect(seen.filter((line) => !line.startsWith("[paperclip]"))).toHaveLength(1000);
  });
});

it("ends soon after a stop although a call never answers", async () => {
  // Tails share timers: those of the other tests are real.
  vi.resetModules();
  vi.useFakeTimers();
  const { createTailPodLogFile } = await import("../../adapter/tail/tail.js");
  const native = fakeNative();
  const flag = { stopped: false };
  const onLog: TailOptions["onLog"] = () => new Promise(() => {});
  const result = createTailPodLogFile(() => native)("/log", { stopSignal: flag, onLog });
  const handle = native.tails[0]!;
  handle.stop = () => {};
  let isDelivered = false;
  void Promise.resolve(handle.sink("stdout", "1\n2\n")).then(() => {
    isDelivered = true;
  });
  flag.stopped = true;
  await vi.advanceTimersByTimeAsync(4_000);
  expect(isDelivered).toBe(true);
  handle.finish();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(vi.getTimerCount(), "no timer is left").toBe(0);
  expect(await result).toBe("1\n2\n");
});

it("goes on with what is left when the native side ends first", async () => {
  const seen: string[] = [];
  const { handle, result } = tail({
    onLog: (_stream, chunk) => {
      seen.push(chunk);
      return new Promise(() => {});
    },
  });
  const delivered = handle.sink("stdout", "1\n2\n");
  handle.finish();
  await result;
  await delivered;
  expect(seen).toEqual(["1\n", "2\n"]);
});

it("delivers a million lines", async () => {
  let count = 0;
  const { handle, result } = tail({ onLog: async () => void count++ });
  const batch = `${"x".repeat(199)}\n`.repeat(10_000);
  for (let round = 0; round < 100; round++) await handle.sink("stdout", batch);
  handle.finish();
  await result;
  expect(count).toBe(1_000_000);
});
