/**
 * Out of memory on a real cluster: who the kernel kills decides what is left to read. Needs TEST_KUBECONFIG as in
 * stage.ts and a node with 2 GiB to spare; the stand-in has no memory limits.
 */
import { describe, expect, test } from "vitest";

import { answer, isRealCluster, run, useStage } from "./stage.js";

/** The more a pod requests, the lower its score: small eaters then stay below one that says "take me" (1000). */
const size = { cpu: "10m", memory: "2Gi" };
const config = { resources: { requests: size, limits: { cpu: "2000m", memory: "2Gi" } } };

/** Many processes with 40 MB each, until the limit is reached. */
const eat =
  "i=0; while [ $i -lt 70 ]; do (x=$(head -c 40000000 /dev/zero | tr '\\0' x); sleep 60) & i=$((i+1)); done; wait";
/** Children inherit the score, so the eaters must be there before. */
const takeMe = (pid: string): string => `echo 1000 >/proc/${pid}/oom_score_adj`;

describe.skipIf(!isRealCluster)("out of memory", () => {
  useStage();

  test("the whole container: no record, unproven, and never a success", { timeout: 300_000 }, async () => {
    const { result } = await run(`echo up; ${takeMe("1")}; ${eat}`, { config });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 137,
      errorCode: "opencode_killed",
      resultJson: { log: { proof: "unproven" } },
    });
    expect(result.errorMessage).toMatch(/out of memory.*OOMKilled/);
  });

  test("opencode alone: a record with 137", { timeout: 300_000 }, async () => {
    const { result } = await run(`echo up; (sleep 1; ${eat}) & ${takeMe("$$")}; wait`, { config });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 137,
      errorCode: "opencode_killed",
      resultJson: { log: { proof: "proven" } },
    });
    expect(result.errorMessage).toMatch(/out of memory.*OOMKilled/);
  });

  test("a tool of an agent that then finishes: a success", { timeout: 300_000 }, async () => {
    const tool = 'sh -c \'x=$(head -c 3000000000 /dev/zero | tr "\\0" x)\'; echo "tool ended $?"';
    const { result, lines } = await run(`${tool}; ${answer("made it")}`, { config });
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      summary: "made it",
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines[0]).toBe("tool ended 137");
  });
});
