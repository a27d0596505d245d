/** Whole runs through the public adapter: what arrives, what it is called, and that nothing stays behind. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { answer, countAroundEachTest, filesLeft, isRealCluster, run, useStage, whenLogged } from "./stage.js";

/** The statuses of an end come in another order since 1.31. A real cluster has its own. */
const ORDERS = isRealCluster ? (["1.20"] as const) : (["1.20", "current"] as const);

describe.each(ORDERS)("in the order of Kubernetes %s", (order) => {
  const stage = useStage(isRealCluster ? {} : { order });
  countAroundEachTest(stage);

  test("a run delivers its lines, succeeds with proof, and leaves nothing behind", async () => {
    const before = filesLeft(stage);
    const { result, lines, stdout } = await run(answer("Done and dusted."));
    expect(result).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      errorCode: null,
      timedOut: false,
      summary: "Done and dusted.",
    });
    expect(result).toMatchObject({
      sessionId: "ses_1",
      costUsd: 0.5,
      usageBasis: "per_run",
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines).toHaveLength(3);
    expect(stdout).toContain("[paperclip] Created K8s Job: agent-opencode-");
    expect(filesLeft(stage)).toEqual(before);
    if (isRealCluster) return;
    expect(await stage.local.objects("jobs")).toEqual([]);
    expect((await stage.local.objects("secrets")).filter(({ metadata }) => metadata.name.startsWith("agent-"))).toEqual(
      [],
    );
  });

  test("a failing agent is a failure with its own words", async () => {
    const { result, stderr } = await run(`echo "cannot reach the moon" >&2; exit 7`);
    expect(result.exitCode).toBe(7);
    expect(result.errorMessage).toContain("cannot reach the moon");
    expect(result.errorCode).toBeTruthy();
    expect(stderr).toContain("cannot reach the moon");
  });

  test("a prompt of 300 KB with everything in it reaches the agent byte for byte, through a Secret", async () => {
    // The first line hashes the whole program; the rest is a here-document that only has to arrive.
    const junk = `$$ $(HOME) $(X \`x\` 'q' "d" \\c \\n 日本語 🎉 `.repeat(5_000);
    const program = `cat >/dev/null <<'END_OF_JUNK'\n${junk}\nEND_OF_JUNK\n${answer("read")}`;
    const prompt = `printf '%s' "$(sha256sum < "$PROMPT_FILE")" >&2; : '\n'\n${program}`;
    const meta: { prompt?: string }[] = [];
    const { result, stderr } = await run(prompt, { onMeta: async (value: object) => void meta.push(value) });
    expect(result.exitCode, result.errorMessage ?? "").toBe(0);
    const sent = createHash("sha256")
      .update(meta[0]?.prompt ?? "")
      .digest("hex");
    expect(stderr).toContain(sent);
  });

  test("1 MB and an immediate exit arrive complete", async () => {
    const { result, lines } = await run(
      `i=0; while [ $i -lt 10240 ]; do printf '%0100d\\n' $i; i=$((i+1)); done\n${answer("all")}`,
    );
    expect(result.exitCode).toBe(0);
    expect(lines).toHaveLength(10_243);
    expect(lines[10_239]).toBe("10239".padStart(100, "0"));
  });

  test("a cancel ends the agent with TERM and is acknowledged when its pod is gone", async () => {
    const mark = `cancel-${Date.now()}`;
    const cancel = new AbortController();
    const onTerm = `echo got-term >/paperclip/test-bin/${mark}; exit 143`;
    const program = `trap '${onTerm}' TERM; echo started; while :; do sleep 0.1; done`;
    const { result } = await run(program, {
      signal: cancel.signal,
      onCancellationReady: async () => {},
      // An old kubelet may not see a container that it is just starting: it is cancelled when it is known to run.
      onLog: whenLogged(["started\n", "Pod running"], () => cancel.abort()),
    });
    expect(result).toMatchObject({ errorCode: "cancelled", timedOut: false });
    expect(result.resultJson).toMatchObject({
      executionCancellation: { state: "acknowledged", acknowledgedAt: expect.any(String) },
    });
    expect(existsSync(join(stage.dataRoot, "test-bin", mark))).toBe(true);
    expect(readFileSync(join(stage.dataRoot, "test-bin", mark), "utf8")).toBe("got-term\n");
  });

  test("a deadline is a timeout, and only that", async () => {
    const { result } = await run("echo working; sleep 3600", { config: { timeoutSec: 2, graceSec: 300 } });
    expect(result).toMatchObject({ timedOut: true, errorCode: "timeout" });
  });

  test("a callback that throws, rejects or never answers does not end the run", async () => {
    let calls = 0;
    const { result } = await run(answer("still here"), {
      onLog: (_stream: string, _chunk: string) => {
        calls++;
        if (calls % 2 === 0) throw new Error("the host is out of order");
        return Promise.reject(new Error("no"));
      },
    });
    expect(result).toMatchObject({ exitCode: 0, summary: "still here" });
    expect(calls).toBeGreaterThan(3);
  });

  test("two runs of one agent never overlap", async () => {
    const agent = {
      id: `agent-turns-${process.pid}`,
      companyId: "company-1",
      name: "Turns",
      adapterType: null,
      adapterConfig: null,
    };
    const lock = `/paperclip/test-bin/lock-${process.pid}`;
    const guarded = (n: number) => `mkdir ${lock} || exit 9; sleep 0.3; rmdir ${lock}; ${answer(`turn ${n}`)}`;
    const both = await Promise.all([1, 2].map((n) => run(guarded(n), { agent })));
    expect(both.map(({ result }) => result.exitCode)).toEqual([0, 0]);
  });

  test.skipIf(isRealCluster)(
    "a native sidecar of the podSpecPatch is ended after the agent, and is no part of it",
    async () => {
      const says = "trap 'echo TERM; exit 3' TERM; echo up; while :; do sleep 0.05; done";
      const proxy = { name: "proxy", image: "proxy:1", restartPolicy: "Always", command: ["sh", "-c", says] };
      const podSpecPatch = { initContainers: [proxy] };
      const { result, stdout } = await run(answer("beside it"), { config: { podSpecPatch } });
      expect(result, JSON.stringify(result)).toMatchObject({
        exitCode: 0,
        summary: "beside it",
        resultJson: { log: { proof: "proven" } },
      });
      const pod = /Pod running: (\S+)/.exec(stdout)![1]!;
      await expect.poll(() => stage.local.logs(pod, "proxy")).toBe("up\nTERM\n");
    },
  );
});
