import { expect, it, vi } from "vitest";

import { deferred } from "../adapter/fake-native.js";
import { loadScript, settled } from "./script.js";

it("hands one batch out to all runs and tails, and answers for those that are done together", async () => {
  const { native, answers, send } = loadScript();
  const calls: string[][] = [[], []];
  const lines: string[] = [];
  const slow = deferred<void>();
  void native.startRun({} as never, (kind, payload) => void calls[0]!.push(kind, payload));
  void native.startRun({} as never, (kind, payload) => {
    calls[1]!.push(kind, payload);
    return kind === "meta" ? slow.promise : undefined;
  });
  void native.tailPodLogFile("/log", { onLog: (_stream, line) => void lines.push(line), ref: false });
  const texts = ["é🎉\nzwei\n", "bad\n", "drei\nvier\n", "", "{}"];
  const words = ["r0 7 stdout 9", "r1 8 stderr 4", "t0 1 stdout 10", "r0 9 dispatch 0", "r1 10 meta 2"];
  send(`${texts.join("")}\n${words.join(" ")}`);
  await settled();
  expect(calls).toEqual([
    ["stdout", "é🎉\nzwei\n", "dispatch", ""],
    ["stderr", "bad\n", "meta", "{}"],
  ]);
  expect(lines).toEqual(["drei\n", "vier\n"]);
  // The next batch may come although one callback has not answered.
  expect(answers).toEqual([["arrived"], ["answered", [0], [7, 8, 9]]]);
  slow.resolve();
  await settled();
  expect(answers.at(-1)).toEqual(["answered", [], [10]]);
});

it("says which call has failed, gives the result, and knows no run that is over", async () => {
  const { native, answers, send } = loadScript();
  const sink = vi.fn();
  const failing = native.startRun({} as never, () => Promise.reject(new Error("refused")));
  const over = native.startRun({} as never, sink);
  send('{"exitCode":0}\nr1 0 result 14');
  expect(await over.result).toEqual({ exitCode: 0 });
  send("ab\nr0 1 stdout 1 r1 2 stdout 1");
  await settled();
  expect(answers.slice(1)).toEqual([["arrived"], ["failed", 1, "refused"]]);
  expect(sink).not.toHaveBeenCalled();
  failing.cancel("signal");
  failing.leave();
  expect(answers.slice(-2)).toEqual([
    ["cancel", 0, "signal"],
    ["leave", 0],
  ]);
  send("its thread has ended\nr0 0 failed 20");
  await expect(failing.result).rejects.toThrow("its thread has ended");
});

it("refuses what is no request and no callback", () => {
  const { native } = loadScript();
  expect(() => native.startRun(null as never, () => {})).toThrow(
    new TypeError("request must be an object, it is null"),
  );
  expect(() => native.startRun({} as never, 5 as never)).toThrow(
    new TypeError("onCall must be a function, it is a number"),
  );
});

it("gives a batch of 1,000 tails in one go, and takes their answers together", async () => {
  const { native, answers, send } = loadScript();
  let lines = 0;
  for (let index = 0; index < 1_000; index++) {
    void native.tailPodLogFile(`/log-${index}`, { onLog: async () => void lines++, ref: false });
  }
  const words = Array.from({ length: 1_000 }, (_, index) => `t${index} 1 stdout 2`);
  send(`${"x\n".repeat(1_000)}\n${words.join(" ")}`);
  await settled();
  await settled();
  expect(lines).toBe(1_000);
  expect(answers).toEqual([["arrived"], ["answered", Array.from({ length: 1_000 }, (_, index) => index), []]]);
});
