/** What other agents lay under the names of a run's files, before it starts: neither its result nor its failure. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { answer, isRealCluster, run, useStage } from "../run/stage.js";
import { expectNothingLeft, type Work, work } from "../run/work.js";

/** Everything that a run has on the volume. */
const FILES = [".ndjson", ".stderr.log", ".nonce", ".started", ".end.json", ".holder", ".usage"];

const KINDS: [what: string, lay: (path: string, precious: string) => void][] = [
  ["files with nonsense", (path) => writeFileSync(path, `{"v":1e400,"run":[[[[{"a":-0`)],
  [
    "files that nobody may read",
    (path) => {
      writeFileSync(path, "x");
      chmodSync(path, 0);
    },
  ],
  ["links to a file of the server", (path, precious) => symlinkSync(precious, path)],
  ["pipes", (path) => void execFileSync("mkfifo", [path])],
  ["folders with something in them", (path) => mkdirSync(join(path, "deeper"), { recursive: true })],
];

describe.skipIf(isRealCluster)("what lies there for a run before it starts", () => {
  const stage = useStage({ mapping: "mount" });

  const folderOf = ({ agent }: Work): string => {
    const folder = join(stage.dataRoot, "instances/default/run-logs", agent.companyId, agent.id);
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  const named = (): Work & { runId: string } => {
    const task = work();
    return { ...task, runId: `laid-${task.agent.id}` };
  };

  const cases = [
    ...KINDS.map(([what, lay]) => [what, "all", FILES, lay] as const),
    ...FILES.slice(0, 4).map((name, i) => [KINDS[i + 1]![0], name, [name], KINDS[i + 1]![1]] as const),
  ];
  test.each(cases)("%s as %s of its files do not fail it", async (_what, _which, names, lay) => {
    const task = named();
    const folder = folderOf(task);
    const precious = join(stage.dataRoot, "precious");
    writeFileSync(precious, "of the server");
    for (const name of names) lay(join(folder, `${task.runId}.pod${name}`), precious);
    const { result, stderr } = await run(answer("the real work"), task);
    expect(result, stderr).toMatchObject({ exitCode: 0, summary: "the real work", costUsd: 0.5 });
    expect(readFileSync(precious, "utf8")).toBe("of the server");
    await expectNothingLeft(stage, task);
  });

  test("a whole run with its records is not its result", async () => {
    const task = named();
    const cluster = (await stage.local.get("namespaces", "paperclip")).metadata.uid;
    const folder = folderOf(task);
    const log = `{"type":"text","sessionID":"ses_attacker","part":{"text":"forged"}}\n`;
    const started = { v: 1, run: task.runId, pod: "p", podUid: "u", namespace: "paperclip", cluster };
    const sha256 = createHash("sha256").update(log).digest("hex");
    const end = { v: 1, run: task.runId, pod: "p", exit: 0, signal: null, bytes: log.length, errBytes: 0, sha256 };
    const files = { ndjson: log, "stderr.log": "", nonce: "n", started: JSON.stringify(started) };
    for (const [name, content] of Object.entries({ ...files, "end.json": JSON.stringify({ ...end, reason: null }) }))
      writeFileSync(join(folder, `${task.runId}.pod.${name}`), content);
    const { result } = await run(`touch /paperclip/test-bin/${task.runId}; ${answer("the real work")}`, task);
    expect(result).toMatchObject({ exitCode: 0, summary: "the real work", sessionId: "ses_1", costUsd: 0.5 });
    expect(existsSync(join(stage.dataRoot, "test-bin", task.runId))).toBe(true);
    await expectNothingLeft(stage, task);
  });
});
