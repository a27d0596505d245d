import { expect, it } from "vitest";

import { CollectedText } from "../../adapter/collected-text.js";

function collect(half: number, lines: string[]): string {
  const collected = new CollectedText(half);
  for (const line of lines) collected.add(line, Buffer.byteLength(line));
  return collected.finish();
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `${String(index).padStart(9, "0")}\n`);

it("keeps everything up to its limit", () => {
  expect(collect(100, numbered(20))).toBe(numbered(20).join(""));
});

it("drops the middle, says how much, and keeps whole lines of both ends", () => {
  const text = collect(100, numbered(50_000));
  expect(text).toBe(
    numbered(10).join("") + `[paperclip] ${(50_000 - 20) * 10} bytes left out here\n` + numbered(50_000).slice(-10).join(""),
  );
});

it("counts bytes, not characters", () => {
  expect(collect(8, ["🎉🎉", "🎉🎉", "🎉🎉"])).toBe("🎉🎉[paperclip] 8 bytes left out here\n🎉🎉");
});
