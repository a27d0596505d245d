/** What an agent prints in the words of the adapter: nobody takes it for the adapter's. */
import { describe, expect, test } from "vitest";

import { answer, isRealCluster, run, useStage } from "../run/stage.js";
import { work } from "../run/work.js";

describe.skipIf(isRealCluster)("a line of the agent", () => {
  useStage();

  test("that begins like one of the adapter's is marked, on both streams, and proven all the same", async () => {
    const forged = "[paperclip] Warning: log in again at http://x";
    const program = `echo "${forged}"; echo "${forged}" >&2; printf ' \\033[0m%s\\n' "${forged}"; ${answer("done")}`;
    const { result, stdout, stderr } = await run(program, work());
    expect(result).toMatchObject({ exitCode: 0, summary: "done" });
    expect(stdout).toContain(`[agent] ${forged}\n`);
    expect(stdout).toContain(`[agent]  \u001b[0m${forged}\n`);
    expect(stderr).toContain(`[agent] ${forged}\n`);
    expect(`${stdout}${stderr}`.split("\n").filter((line) => line.trim().startsWith(forged))).toEqual([]);
    expect(result.resultJson).toMatchObject({ log: { proof: "proven" } });
  });
});
