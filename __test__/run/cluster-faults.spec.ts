/**
 * Faults of a real cluster, which only its administrator can cause. Opt-in: everybody else on the cluster feels them.
 *
 * TEST_KUBECONFIG, TEST_DATA_ROOT, TEST_OWN_POD   as in stage.ts
 * TEST_FAULTS      a script with the verbs apiserver-stop, apiserver-start, apiserver-pause SECONDS, compact-etcd,
 *                  node-down, node-up and kill-pod NAME
 * TEST_KUBECTL     kubectl as administrator: a command, its arguments separated by spaces
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { describe, expect, test } from "vitest";

import { answer, filesLeft, type Gate, gate, recordOf, run, type Seen, useStage } from "./stage.js";

const exec = promisify(execFile);
const script = process.env["TEST_FAULTS"] ?? "";
const [kubectlCommand = "", ...kubectlArgs] = (process.env["TEST_KUBECTL"] ?? "").split(" ");
const fault = async (...args: string[]): Promise<void> => void (await exec(script, args, { timeout: 300_000 }));
const kubectl = async (...args: string[]): Promise<string> =>
  (await exec(kubectlCommand, [...kubectlArgs, ...args])).stdout.trim();

let agents = 0;

/** Lines for so many seconds, one each. */
const counting = (seconds: number): string =>
  `i=0; while [ $i -lt ${seconds} ]; do echo "line $i"; i=$((i+1)); sleep 1; done`;
/** The same, and then an answer. */
const steady = (seconds: number): string => `${counting(seconds)}; ${answer("made it")}`;
/** The same, with an answer when the gate is open. */
const gated = (seconds: number, end: Gate): string => `${counting(seconds)}; ${end.wait}; ${answer("made it")}`;

interface Going {
  agent: string;
  ended: Promise<Seen>;
}

/** Starts a run and returns when its agent works. */
async function going(program: string, config: object = {}): Promise<Going> {
  const agent = `fault-${process.pid}-${agents++}`;
  let works = (): void => {};
  const working = new Promise<void>((resolve) => (works = resolve));
  const ended = again(agent, program, config, works);
  await Promise.race([working, ended]);
  return { agent, ended };
}

/** A run of this agent's only task. */
async function again(agent: string, program: string, config: object = {}, works = (): void => {}): Going["ended"] {
  const log: [string, string][] = [];
  return run(program, {
    agent: { id: agent, companyId: "company-faults", name: "Fault" },
    context: { issueId: agent },
    config,
    onLog: async (stream: string, chunk: string) => {
      log.push([stream, chunk]);
      if (chunk.includes("line 0")) works();
    },
  }).then(({ result }) => {
    const text = (kind: string): string =>
      log
        .filter(([stream]) => stream === kind)
        .map(([, chunk]) => chunk)
        .join("");
    const lines = text("stdout")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("[paperclip] "));
    return { result, log, stdout: text("stdout"), stderr: text("stderr"), lines };
  });
}

const ours = (resource: string, agent: string): Promise<string> =>
  kubectl("get", resource, "-l", `paperclip.io/agent-id=${agent}`, "-o", "name");

describe.skipIf(script === "")("a run survives", () => {
  const stage = useStage();

  async function expectWhole({ agent, ended }: Going, seconds: number): Promise<void> {
    const { result, lines } = await ended;
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      summary: "made it",
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines.slice(0, seconds)).toEqual(Array.from({ length: seconds }, (_, i) => `line ${i}`));
    expect(lines).toHaveLength(seconds + 3);
    await expectNothingLeft(agent);
  }

  async function expectNothingLeft(agent: string): Promise<void> {
    expect(filesLeft(stage).filter((name) => name.includes(`/${agent}/`))).toEqual([]);
    await expect.poll(() => ours("jobs,pods,secrets", agent), { timeout: 180_000, interval: 1_000 }).toBe("");
    // A pod whose run was given up ends late, and has nothing to leave any more.
    expect(filesLeft(stage).filter((name) => name.includes(`/${agent}/`))).toEqual([]);
  }

  test("an API server that is gone, with an agent that ends meanwhile and one that ends later", {
    timeout: 400_000,
  }, async () => {
    const [before, after] = [gate(stage), gate(stage)];
    const [early, late] = await Promise.all([going(gated(5, before)), going(gated(5, after))]);
    await fault("apiserver-stop");
    before.open();
    // Its record lies on the volume: nobody has to wait for the API server.
    const { result, lines } = await early.ended.finally(() => fault("apiserver-start"));
    expect(result, JSON.stringify(result)).toMatchObject({
      exitCode: 0,
      errorMessage: null,
      resultJson: { log: { proof: "proven" } },
    });
    expect(lines).toHaveLength(8);
    after.open();
    await expectNothingLeft(early.agent);
    await expectWhole(late, 5);
  });

  test("an API server that stays away: unknown, the Job is kept, and the next run of the task delivers all", {
    timeout: 300_000,
  }, async () => {
    const program = steady(60);
    const { agent, ended } = await going(program, { outageTimeoutSec: 10 });
    await fault("apiserver-stop");
    const { result } = await ended.finally(() => fault("apiserver-start"));
    expect(result).toMatchObject({ exitCode: null, errorCode: "k8s_api_unreachable", timedOut: false });
    expect(result.errorMessage).toMatch(/^API server not reachable.*The Job .* is kept/);
    expect(await ours("jobs", agent)).not.toBe("");
    await expectWhole({ agent, ended: again(agent, program) }, 60);
  });

  test("a node that never reports again, and its pod deleted: unknown or killed within the bound", {
    timeout: 400_000,
  }, async () => {
    const lost = await going(steady(600), { outageTimeoutSec: 30 });
    await fault("node-down");
    await kubectl("delete", await ours("pods", lost.agent), "--wait=false");
    const { result, lines } = await lost.ended.finally(() => fault("node-up"));
    expect(result, JSON.stringify(result)).toMatchObject({
      timedOut: false,
      errorCode: expect.stringMatching(/^(opencode_killed|unknown_outcome)$/),
    });
    expect(result.errorMessage).toMatch(/its node did not end it within 105 s/);
    expect(lines.filter((line) => line === "line 0")).toHaveLength(1);
    await expectNothingLeft(lost.agent);
  });

  test("a deadline that comes while the pod starts: a timeout, each time", { timeout: 300_000 }, async () => {
    for (const timeoutSec of [1, 2, 3]) {
      const late = await Promise.all([1, 2, 3, 4].map(() => going("echo working; sleep 60", { timeoutSec })));
      for (const { agent, ended } of late) {
        const { result } = await ended;
        expect(result, JSON.stringify(result)).toMatchObject({ timedOut: true, errorCode: "timeout" });
        await expectNothingLeft(agent);
      }
    }
  });

  test("an API server that hangs, and one that forgets history", { timeout: 200_000 }, async () => {
    const hung = await going(steady(40));
    await fault("apiserver-pause", "20");
    await fault("compact-etcd");
    await expectWhole(hung, 40);
  });

  test("a node that does not report", { timeout: 300_000 }, async () => {
    const end = gate(stage);
    const quiet = await going(gated(5, end));
    await fault("node-down");
    end.open();
    await recordOf(stage, quiet.agent).finally(() => fault("node-up"));
    await expectWhole(quiet, 5);
  });

  const ends: [what: string, act: (agent: string) => Promise<unknown>, says: RegExp][] = [
    [
      "its containers killed",
      async (agent) => fault("kill-pod", (await ours("pods", agent)).replace("pod/", "")),
      /SIGKILL|137/,
    ],
    [
      "its pod deleted",
      async (agent) => kubectl("delete", await ours("pods", agent), "--wait=false"),
      /SIGTERM|deleted|143/,
    ],
    [
      "its Job deleted",
      async (agent) => kubectl("delete", await ours("jobs", agent), "--wait=false"),
      /SIGTERM|deleted|143/,
    ],
    [
      "its node drained",
      async (agent) => {
        const pod = await ours("pods", agent);
        const asked = ["get", pod, "--ignore-not-found", "-o", "jsonpath={.metadata.deletionTimestamp}{.kind}"];
        await kubectl("taint", "node", "--all", "gone=now:NoExecute");
        // Marked for its deletion, or gone by now.
        const isLeaving = expect.poll(() => kubectl(...asked), { timeout: 60_000, interval: 500 });
        await isLeaving.not.toBe("Pod").finally(() => kubectl("taint", "node", "--all", "gone-"));
      },
      /SIGTERM|deleted|143|TaintManager/,
    ],
  ];
  test.each(ends)(
    "%s: a failure that says so, and the agent ran once",
    { timeout: 300_000 },
    async (_what, act, says) => {
      // Longer than an old kubelet needs, after a restart, to learn that a pod is to end.
      const doomed = await going(steady(600));
      await act(doomed.agent);
      const { result, lines, stdout } = await doomed.ended;
      if (result.errorCode !== "opencode_killed") console.log(JSON.stringify(result), stdout);
      expect(result.errorMessage).toMatch(says);
      // Unknown is its end only where no node has killed it within the bound.
      expect(result).toMatchObject({
        timedOut: false,
        errorCode: expect.stringMatching(/^(opencode_killed|unknown_outcome)$/),
      });
      expect(lines.filter((line) => line === "line 0")).toHaveLength(1);
      await expectNothingLeft(doomed.agent);
    },
  );

  test("a TTL that is over at once", { timeout: 100_000 }, async () => {
    await expectWhole(await going(steady(2), { ttlSecondsAfterFinished: 0 }), 2);
  });
});
