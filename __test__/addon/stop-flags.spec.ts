import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { TailSettings } from "../../index.js";
import { loadScript } from "./script.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Tails of one script, each with a flag that counts how often it is read. */
function followed(...all: TailSettings[]) {
  const { native, tails } = loadScript();
  return all.map((settings, index) => {
    const flag = { reads: 0, isSet: false };
    const stopSignal = {
      get stopped() {
        flag.reads++;
        return flag.isSet;
      },
    };
    void native.tailPodLogFile(`/log-${index}`, { onLog: () => {}, stopSignal, ref: false, ...settings });
    return { flag, handle: tails[index]! };
  });
}

it("reads a flag at the pace of its file, and one timer reads all", async () => {
  const [a, b] = followed({}, {});
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1_250);
  expect([a!.flag.reads, b!.flag.reads]).toEqual([6, 6]);
  vi.advanceTimersByTime(10_000);
  expect([a!.flag.reads, b!.flag.reads]).toEqual([16, 16]);
  // Lines came: it is read at once, and often again.
  await a!.handle.lines("one\n");
  expect(a!.flag.reads).toBe(17);
  vi.advanceTimersByTime(1_000);
  expect(a!.flag.reads).toBe(21);
  a!.flag.isSet = true;
  vi.advanceTimersByTime(250);
  expect(a!.handle.stops).toBe(1);
  vi.advanceTimersByTime(10_000);
  expect([a!.handle.stops, b!.handle.stops]).toEqual([1, 0]);
  b!.handle.finish();
  vi.advanceTimersByTime(1_000);
  expect(vi.getTimerCount()).toBe(0);
});

it("reads a flag once a second at least, however seldom its file is read", () => {
  const [never, seldom] = followed({ pollMs: Number.POSITIVE_INFINITY }, { pollMs: 1e308, maxPollMs: 1e308 });
  vi.advanceTimersByTime(10_000);
  expect([never!.flag.reads, seldom!.flag.reads]).toEqual([11, 11]);
  never!.flag.isSet = true;
  vi.advanceTimersByTime(1_000);
  expect([never!.handle.stops, seldom!.handle.stops]).toEqual([1, 0]);
});

it("sees a flag that is set among the lines without waiting for the timer", async () => {
  const [one] = followed({});
  one!.flag.isSet = true;
  await one!.handle.lines("one\n");
  expect(one!.handle.stops).toBe(1);
});

it("follows the quickest of its tails", () => {
  const [slow, quick] = followed({}, { pollMs: 5, maxPollMs: 20 });
  quick!.flag.isSet = true;
  vi.advanceTimersByTime(5);
  expect(quick!.handle.stops).toBe(1);
  slow!.flag.isSet = true;
  vi.advanceTimersByTime(250);
  expect(slow!.handle.stops).toBe(1);
});
