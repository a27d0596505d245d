/** A suite of your own that calls the addon: npx vitest run examples/vitest (pools `forks` and `threads`). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { buildPodLogPath, resolveOutcome, tailPodLogFile } from "paperclip-adapter-opencode-k8s";
import { afterAll, describe, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "adapter-example-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the adapter's functions", () => {
  it("name a run's log and refuse what is no id", () => {
    expect(buildPodLogPath("acme", "ada", "run-1")).toBe(
      "/paperclip/instances/default/run-logs/acme/ada/run-1.pod.ndjson",
    );
    expect(() => buildPodLogPath("acme", "../ada", "run-1")).toThrow("Invalid agentId for log path: ../ada");
  });

  it("follow a file to its end", async () => {
    const path = join(folder, "run-1.pod.ndjson");
    writeFileSync(path, "one\ntwo\nno newline");
    const lines: string[] = [];
    const onLog = async (_stream: string, line: string): Promise<void> => void lines.push(line);
    const text = await tailPodLogFile(path, { onLog, stopSignal: { stopped: true } });
    expect(lines).toEqual(["one\n", "two\n", "no newline\n"]);
    expect(text).toBe("one\ntwo\nno newline\n");
  });

  it("judge an end", () => {
    const outcome = resolveOutcome({ stdout: "", stderr: "Error: no such model", exitCode: 1, logState: "proven" });
    expect(outcome.exitCode).toBe(1);
    expect(outcome.errorMessage).toContain("no such model");
  });
});
