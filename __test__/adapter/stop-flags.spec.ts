import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { watchStopFlag } from "../../adapter/tail/stop-flags.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const usual = { pollMs: 250, maxPollMs: 1_000, idlePolls: 5 };

/** A flag that counts how often it is read. */
function counted() {
  const flag = { reads: 0, stops: 0, set: false };
  const signal = {
    get stopped() {
      flag.reads++;
      return flag.set;
    },
  };
  return { flag, signal, stop: () => void flag.stops++ };
}

it("reads a flag at the pace of its file, and one timer reads all", () => {
  const [a, b] = [counted(), counted()];
  const first = watchStopFlag(a.signal, a.stop, usual);
  const second = watchStopFlag(b.signal, b.stop, usual);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1_250);
  expect([a.flag.reads, b.flag.reads]).toEqual([6, 6]);
  vi.advanceTimersByTime(10_000);
  expect([a.flag.reads, b.flag.reads]).toEqual([16, 16]);
  // Lines came: it is read at once, and often again.
  first.check();
  vi.advanceTimersByTime(1_000);
  expect(a.flag.reads).toBe(21);
  a.flag.set = true;
  vi.advanceTimersByTime(250);
  expect(a.flag.stops).toBe(1);
  first.check();
  vi.advanceTimersByTime(10_000);
  expect([a.flag.stops, b.flag.stops]).toEqual([1, 0]);
  second.forget();
  expect(vi.getTimerCount()).toBe(0);
});

it("sees a flag that is set among the lines without waiting for the timer", () => {
  const { flag, signal, stop } = counted();
  const watch = watchStopFlag(signal, stop, usual);
  flag.set = true;
  watch.check();
  expect(flag.stops).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

it("follows the quickest of its tails", () => {
  const [slow, quick] = [counted(), counted()];
  watchStopFlag(slow.signal, slow.stop, usual);
  const watch = watchStopFlag(quick.signal, quick.stop, { pollMs: 5, maxPollMs: 20, idlePolls: 5 });
  quick.flag.set = true;
  vi.advanceTimersByTime(5);
  expect(quick.flag.stops).toBe(1);
  watch.forget();
  slow.flag.set = true;
  vi.advanceTimersByTime(250);
  expect(slow.flag.stops).toBe(1);
});
