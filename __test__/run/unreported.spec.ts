/** Jobs that their TTL, or somebody, removed before any server saw their end: reported once, never repeated. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { answer, filesLeft, isRealCluster, run, useStage } from "./stage.js";
import {
  abandon,
  expectNothingLeft,
  held,
  over,
  release,
  STEADY,
  timesRun,
  reports,
  sealedNonce,
  untilReleased,
  type Work,
  work,
} from "./work.js";

const stage = useStage({ mapping: "mount" });

const brief = { config: { ttlSecondsAfterFinished: 1 } };
/** The Job of this task is gone, and all that is left of its run are its files. */
async function abandonForGood(task: Work, program = held(task, "unreported"), more: object = {}): Promise<void> {
  await abandon({ ...task, ...brief, ...more }, program);
  release(stage, task);
  await over(stage, task, true);
  expect(filesLeft(stage).filter((name) => name.includes(task.agent.id))).not.toEqual([]);
}

describe("a Job that is gone, and whose end no result has reported", () => {
  test("is reported once, and the next Job goes on from its session", async () => {
    const task = work();
    await abandonForGood(task);
    const invocations: { commandArgs?: string[] }[] = [];
    const onMeta = async (meta: object): Promise<void> => void invocations.push(meta);
    const next = await run(`echo another; ${answer("the second")}`, { ...task, onMeta });
    expect(next.result).toMatchObject({ exitCode: 0, summary: "the second" });
    expect(next.lines).toHaveLength(4);
    expect(reports(next.stdout)).toEqual([expect.stringMatching(/session ses_1, log proven\): it said: unreported/)]);
    // Where paths are replaced in the text of commands, the stand-in's pods work in another folder than the named one.
    if (isRealCluster || stage.local.mapping === "mount") {
      expect(invocations.map(({ commandArgs }) => commandArgs)).toEqual([
        expect.arrayContaining(["--session", "ses_1"]),
      ]);
    }
    await expectNothingLeft(stage, task);
    const third = await run(answer("the third"), task);
    expect(reports(third.stdout)).toEqual([]);
    expect(timesRun(stage, task)).toBe(1);
  });

  test("of the very same run is its result", async () => {
    const task = { ...work(), runId: `gone-${process.pid}-${Date.now()}` };
    await abandonForGood(task);
    const { result, lines } = await run(held(task), task);
    expect(result).toMatchObject({ exitCode: 0, summary: "unreported", resultJson: { log: { proof: "proven" } } });
    expect(lines.slice(0, 11)).toEqual(STEADY);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("says so when it failed", async () => {
    const task = work();
    await abandonForGood(
      task,
      `for i in 0 1 2 3 4; do echo "line $i"; done; ${untilReleased(task)}echo "no moon" >&2; exit 7`,
    );
    const kept = filesLeft(stage).filter((name) => name.includes(task.agent.id));
    expect(kept.some((name) => name.endsWith(".pod.started"))).toBe(true);
    const { stdout, result } = await run(answer("went on"), task);
    expect(reports(stdout)).toEqual([expect.stringMatching(/log proven\): it failed: .*no moon/)]);
    expect(result).toMatchObject({ exitCode: 0, summary: "went on" });
    await expectNothingLeft(stage, task);
  });

  test("and that a server had taken over which died as well", async () => {
    const task = work();
    const slow = { ...task, ...brief };
    await abandon(slow, held(task, "unreported"));
    await abandon(slow, held(task, "unreported"));
    release(stage, task);
    await over(stage, task, true);
    const kept = filesLeft(stage).filter((name) => name.includes(task.agent.id));
    expect(kept.some((name) => name.endsWith(".pod.holder"))).toBe(true);
    const { stdout } = await run(answer("the third"), task);
    expect(reports(stdout)).toHaveLength(1);
    expect(timesRun(stage, task)).toBe(1);
    await expectNothingLeft(stage, task);
  });

  test("is nothing to another task, and stays for its own", async () => {
    const task = work();
    await abandonForGood(task);
    const other = await run(answer("other"), { ...task, context: { issueId: "another" } });
    expect(reports(other.stdout)).toEqual([]);
    const own = await run(answer("own"), task);
    expect(reports(own.stdout)).toHaveLength(1);
    await expectNothingLeft(stage, task);
  });

  test("and was made to stay is reported once as well", async () => {
    const task = { ...work(), config: { retainJobs: true } };
    await run(answer("kept"), task);
    const kept = filesLeft(stage).filter((name) => name.includes(task.agent.id));
    expect(kept.some((name) => name.endsWith(".pod.ndjson"))).toBe(true);
    if (isRealCluster) return;
    const [job] = await stage.local.list("jobs", { labelSelector: `paperclip.io/agent-id=${task.agent.id}` });
    await stage.local.delete("jobs", job!.metadata.name);
    const { stdout } = await run(answer("second"), task);
    expect(reports(stdout), "its end was reported").toEqual([]);
  });
});

describe.skipIf(isRealCluster)("what lies on the volume", () => {
  /** Leaves the files of an ended run as its pod does; `age` in seconds. */
  async function leave(
    task: Work,
    run: string,
    text: string,
    age: number,
    more: object = {},
    isSealed = true,
  ): Promise<string> {
    const cluster = (await stage.local.get("namespaces", "paperclip")).metadata.uid;
    const folder = join(stage.dataRoot, "instances/default/run-logs", task.agent.companyId, task.agent.id);
    mkdirSync(folder, { recursive: true });
    const log = execFileSync("sh", ["-c", answer(text)]);
    const record = {
      v: 1,
      run,
      pod: "p",
      exit: 0,
      signal: null,
      bytes: log.length,
      errBytes: 0,
      sha256: createHash("sha256").update(log).digest("hex"),
      reason: null,
    };
    const started = {
      v: 1,
      run,
      pod: "p",
      podUid: "u",
      namespace: "paperclip",
      cluster,
      task: task.context.issueId.toLowerCase(),
      cwd: "/paperclip",
      ...more,
    };
    const files = {
      ndjson: log,
      "stderr.log": "",
      nonce: isSealed ? await sealedNonce(stage, { ...task.agent, run, task: started.task, cwd: started.cwd }) : "n",
      started: JSON.stringify(started),
      "end.json": JSON.stringify(record),
    };
    for (const [end, content] of Object.entries(files)) writeFileSync(join(folder, `${run}.pod.${end}`), content);
    utimesSync(join(folder, `${run}.pod.started`), Date.now() / 1000 - age, Date.now() / 1000 - age);
    return folder;
  }

  test("is reported in its order, whoever comes first in the alphabet", async () => {
    const task = work();
    await leave(task, "b-first", "one", 300);
    await leave(task, "c-second", "two", 200);
    await leave(task, "a-third", "three", 100);
    const { stdout, result } = await run(answer("now"), task);
    expect(reports(stdout).map((line) => line.replace(/.* it said: /, ""))).toEqual(["one", "two", "three"]);
    expect(result).toMatchObject({ exitCode: 0, summary: "now" });
    await expectNothingLeft(stage, task);
  });

  test("and is not this run's business is left alone: of another task, cluster or namespace, or hostile", async () => {
    const task = work();
    const folder = await leave(task, "other-task", "no", 100, { task: "another" });
    await leave(task, "other-cluster", "no", 100, { cluster: "another" });
    await leave(task, "other-namespace", "no", 100, { namespace: "another" });
    await leave(task, "other-run", "no", 100, { run: "forged" });
    await leave(task, "unsealed", "no", 100, {}, false);
    await leave(task, "too-large", "no", 100, { pod: "x".repeat(100_000) });
    await leave(task, "fifo", "no", 100);
    execFileSync(
      "sh",
      [
        "-c",
        "rm fifo.pod.started && mkfifo fifo.pod.started && " +
          "ln -sf /etc/passwd link.pod.started && echo n >link.pod.nonce",
      ],
      { cwd: folder },
    );
    const { stdout, result } = await run(answer("now"), task);
    expect(reports(stdout)).toEqual([]);
    expect(result).toMatchObject({ exitCode: 0, summary: "now" });
    const left = filesLeft(stage).filter((name) => name.includes(task.agent.id) && name.endsWith(".ndjson"));
    expect(left).toHaveLength(7);
  });
});
