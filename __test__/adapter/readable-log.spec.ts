import type { AdapterExecutionContext } from "@paperclipai/adapter-utils";
import { describe, expect, it } from "vitest";

import { readableLog, withTranscript } from "../../adapter/ui/readable-log.js";

const event = (text: string) => JSON.stringify({ type: "text", part: { type: "text", text, time: { end: 1 } } });

function collector() {
  const got: [string, string][] = [];
  return { got, log: readableLog(async (stream, chunk) => void got.push([stream, chunk])) };
}

describe("a readable log", () => {
  it("makes text of events, also of one that comes in pieces, and leaves stderr and status lines", async () => {
    const { got, log } = collector();
    await log.onLog("stdout", `[paperclip] Pod running\n${event("one")}\n${event("two").slice(0, 20)}`);
    await log.onLog("stderr", "oh\n");
    await log.onLog("stdout", `${event("two").slice(20)}\nplain`);
    await log.end();
    expect(got).toEqual([
      ["stdout", "[paperclip] Pod running\n"],
      ["stdout", "one\n"],
      ["stderr", "oh\n"],
      ["stdout", "two\n"],
      ["stdout", "plain\n"],
    ]);
  });

  it("gives no chunk that the host would cut, and never half a character", async () => {
    const { got, log } = collector();
    const text = `a${"😀".repeat(40_000)}`;
    await log.onLog("stdout", `${event(text)}\n`);
    expect(got.every(([, chunk]) => chunk.length <= 32 * 1024 && chunk.isWellFormed())).toBe(true);
    expect(got.map(([, chunk]) => chunk).join("")).toBe(`${text}\n`);
  });

  it("keeps at most a mebibyte of an unfinished line", async () => {
    const { got, log } = collector();
    await log.onLog("stdout", "x".repeat(1024 * 1024 + 1));
    expect(got.length).toBeGreaterThan(0);
  });
});

describe("the setting transcript", () => {
  const run = async (config: object) => {
    const got: string[] = [];
    const execute = withTranscript(async ({ onLog }: AdapterExecutionContext) => {
      await onLog("stdout", `${event("hello")}\nlast`);
      return "done";
    });
    const onLog = async (_: string, chunk: string) => void got.push(chunk);
    expect(await execute({ config, onLog } as unknown as AdapterExecutionContext)).toBe("done");
    return got.join("");
  };

  it("is events unless it says text", async () => {
    expect(await run({})).toBe(`${event("hello")}\nlast`);
    expect(await run({ transcript: "events" })).toBe(`${event("hello")}\nlast`);
    expect(await run({ transcript: "text" })).toBe("hello\nlast\n");
  });
});

it("gives lines in their order to a host that is slow to take them", async () => {
  const taken: string[] = [];
  let letGo = (): void => {};
  const slow = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const log = readableLog(async (_stream, chunk) => {
    taken.push(chunk.trim());
    if (taken.length === 1) await slow;
  });
  const both = [log.onLog("stdout", "one\ntwo\n"), log.onLog("stdout", "three\n")];
  letGo();
  await Promise.all(both);
  expect(taken).toEqual(["one", "two", "three"]);
});
