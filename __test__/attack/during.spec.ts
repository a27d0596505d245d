/** What other agents do to the files of a run that is on: it reads nothing else, and answers a cancel. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { answer, gate, isRealCluster, run, useStage, whenLogged } from "../run/stage.js";
import { expectNothingLeft, type Work, work } from "../run/work.js";

const SECRET = "ONLY-THE-SERVER-READS-THIS";

describe.skipIf(isRealCluster)("while a run is on", () => {
  const stage = useStage({ mapping: "mount" });

  const folderOf = ({ agent }: Work): string =>
    join(stage.dataRoot, "instances/default/run-logs", agent.companyId, agent.id);
  const baseOf = (task: Work): string => {
    const name = readdirSync(folderOf(task)).find((file) => file.endsWith(".pod.ndjson"))!;
    return join(folderOf(task), name.slice(0, -".ndjson".length));
  };

  test("another agent's record of its end does not end it, and a record of its own pod does not either", async () => {
    const task = work();
    const last = gate(stage);
    const forge = async (): Promise<void> => {
      const base = baseOf(task);
      const { run: runId, pod } = JSON.parse(readFileSync(`${base}.started`, "utf8"));
      for (const name of [pod, "another-pod"]) {
        const record = { v: 1, run: runId, pod: name, exit: 0, signal: null, bytes: 6, errBytes: 0, sha256: null };
        writeFileSync(`${base}.end.json`, JSON.stringify({ ...record, reason: null }));
        await new Promise((resolve) => setTimeout(resolve, 3_000));
      }
      last.open();
    };
    const onLog = whenLogged("first\n", forge);
    const { result, lines } = await run(`echo first; ${last.wait}; ${answer("to the end")}`, { ...task, onLog });
    expect(result).toMatchObject({ exitCode: 0, summary: "to the end", costUsd: 0.5 });
    expect(lines).toHaveLength(4);
    await expectNothingLeft(stage, task);
  });

  test("a log that is swapped for links and back all the time shows nothing else", async () => {
    const task = work();
    const secret = join(stage.dataRoot, "..", "of-the-server");
    writeFileSync(secret, `${SECRET}\n`.repeat(99), { mode: 0o600 });
    const last = gate(stage);
    let swapping: ReturnType<typeof spawn> | undefined;
    const swap = async (): Promise<void> => {
      const base = baseOf(task);
      symlinkSync(secret, `${base}.link`);
      const script = `import os,sys,time
log,link,aside=sys.argv[1]+'.ndjson',sys.argv[1]+'.link',sys.argv[1]+'.aside'
until=time.time()+5
while time.time()<until:
    os.rename(log,aside); os.rename(link,log); os.rename(log,link); os.rename(aside,log)
os.unlink(link)`;
      swapping = spawn("python3", ["-c", script, base], { stdio: "inherit" });
      swapping.once("exit", () => last.open());
    };
    const program = `echo first; ${last.wait}; ${answer("mine")}`;
    const { result, log } = await run(program, { ...task, onLog: whenLogged("first\n", swap) });
    expect(swapping?.exitCode).toBe(0);
    expect(JSON.stringify([result, log])).not.toContain(SECRET);
    expect(result).toMatchObject({ exitCode: 0, summary: "mine" });
    expect(readFileSync(secret, "utf8")).toContain(SECRET);
  });

  test("a log of 8 TiB of nothing does not keep a cancel from its answer", async () => {
    const task = work();
    const cancel = new AbortController();
    const log = `/paperclip/instances/default/run-logs/*/${task.agent.id}/*.ndjson`;
    const program = `truncate -s 8T ${log}; echo huge >&2; sleep 3600`;
    const { result } = await run(program, {
      ...task,
      signal: cancel.signal,
      onCancellationReady: async () => {},
      onLog: whenLogged("huge\n", () => cancel.abort()),
    });
    expect(result).toMatchObject({
      errorCode: "cancelled",
      resultJson: { executionCancellation: { state: "acknowledged" } },
    });
  });

  test("twenty thousand names in its folder do not keep it from its start", async () => {
    const task = work();
    mkdirSync(folderOf(task), { recursive: true });
    for (let n = 0; n < 20_000; n++)
      writeFileSync(join(folderOf(task), `x${n}.pod.${n % 2 ? "nonce" : "started"}`), "");
    const { result } = await run(answer("all the same"), task);
    expect(result).toMatchObject({ exitCode: 0, summary: "all the same" });
  });
});
