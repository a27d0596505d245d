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

it("keeps no batch alive for the few lines of it that it keeps", async () => {
  // What other tails got in the same batches is 50 MB; a slice of a string keeps the whole of it.
  const { execFileSync } = await import("node:child_process");
  const { build } = await import("esbuild");
  const entry = new URL("../../adapter/collected-text.ts", import.meta.url).pathname;
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, format: "esm", write: false });
  const script = `${outputFiles[0]!.text}
    const collected = new CollectedText();
    gc();
    for (let tick = 0; tick < 500; tick++) {
      const batch = Buffer.alloc(100_000, String(tick % 10)).toString("latin1");
      collected.add(batch.slice(50, 150), 100);
    }
    gc();
    console.log(process.memoryUsage().heapUsed / 2 ** 20, collected.finish().length);`;
  const printed = execFileSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], { encoding: "utf8" });
  const [heapMb, length] = printed.split(" ").map(Number);
  expect(length).toBe(50_000);
  expect(heapMb).toBeLessThan(20);
});
