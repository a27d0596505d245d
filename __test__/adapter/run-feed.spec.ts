import { expect, it, vi } from "vitest";

import type { Runs } from "../../adapter/addon/native.js";
import { runFeed } from "../../adapter/run/feed.js";
import { deferred, fakeNative } from "./fake-native.js";

/** The addon's side of the feed: sends batches and notes the answers. */
function feed() {
  let send!: (batch: string) => void;
  let started = 0;
  const answers: (number | string)[][] = [];
  const runs: Runs = {
    start: () => {
      const number = started++;
      return { number: () => number, cancel: () => {}, result: async () => `result ${number}` };
    },
    arrived: () => void answers.push(["arrived"]),
    answered: (calls) => void answers.push(["answered", ...calls]),
    failed: (call, message) => void answers.push(["failed", call, message]),
  };
  const native = fakeNative({
    openRuns: (sink) => {
      send = sink;
      return runs;
    },
  });
  return { feed: runFeed(native), answers, native, send: (batch: string) => send(batch) };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it("hands one batch out to all runs, and answers for those that are done together", async () => {
  const { feed: all, answers, send } = feed();
  const calls: string[][] = [[], []];
  const slow = deferred<void>();
  all.start("{}", (kind, payload) => void calls[0]!.push(kind, payload));
  all.start("{}", (kind, payload) => {
    calls[1]!.push(kind, payload);
    return kind === "meta" ? slow.promise : undefined;
  });
  const texts = ["é🎉\nzwei\n", "bad\n", "", "{}"];
  send(`${texts.join("")}\n0 7 stdout ${texts[0]!.length} 1 8 stderr 4 0 9 dispatch 0 1 10 meta 2`);
  await settled();
  expect(calls).toEqual([
    ["stdout", "é🎉\nzwei\n", "dispatch", ""],
    ["stderr", "bad\n", "meta", "{}"],
  ]);
  // The next batch may come although one callback has not answered.
  expect(answers).toEqual([["arrived"], ["answered", 7, 8, 9]]);
  slow.resolve();
  await settled();
  expect(answers.at(-1)).toEqual(["answered", 10]);
});

it("says which call has failed, and knows no run that is over", async () => {
  const { feed: all, answers, send } = feed();
  const sink = vi.fn();
  const failing = all.start("{}", () => Promise.reject(new Error("refused")));
  const over = all.start("{}", sink);
  expect(await over.result()).toBe("result 1");
  send(`ab\n0 1 stdout 1 1 2 stdout 1`);
  await settled();
  expect(answers).toEqual([["arrived"], ["failed", 1, "refused"], ["answered", 2]]);
  expect(sink).not.toHaveBeenCalled();
  expect(await failing.result()).toBe("result 0");
});

it("opens one callback for one addon", () => {
  const { feed: all, native } = feed();
  expect(runFeed(native)).toBe(all);
});
