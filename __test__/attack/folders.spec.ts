/** What other agents put in the place of a run's folders, and which of its files they hold: it starts all the same. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { afterEach, describe, expect, test } from "vitest";

import { answer, isRealCluster, run, useStage } from "../run/stage.js";
import { type Work, work } from "../run/work.js";

/** Denies all to whoever makes something in the folder. The entries are those of <linux/posix_acl_xattr.h>. */
const DENY_ALL = `import os,struct,sys
entries=[struct.pack('<HHI',tag,0,0xffffffff) for tag in (1,4,16,32)]
try: os.setxattr(sys.argv[1],'system.posix_acl_default',struct.pack('<I',2)+b''.join(entries))
except OSError: pass`;
/** Takes a lease on each file again as soon as it is broken: an open that does not wait is refused. */
const HOLD = `import fcntl,os,signal,sys,time
signal.signal(signal.SIGIO,lambda *_: None)
files=[os.open(path,os.O_RDWR) for path in sys.argv[1:]]
while True:
    for file in files:
        try: fcntl.fcntl(file,1024,fcntl.F_WRLCK)
        except OSError: pass
    print('held',flush=True)
    time.sleep(0.005)`;

const FOLDERS: [what: string, lay: (at: string) => void][] = [
  ["a link", (at) => symlinkSync("nowhere", at)],
  ["a file", (at) => writeFileSync(at, "x")],
  ["a pipe", (at) => void execFileSync("mkfifo", [at])],
  ["a folder that is closed to all", (at) => mkdirSync(at, { mode: 0 })],
  ["a folder in which nobody makes anything", (at) => mkdirSync(at, { mode: 0o555 })],
  ["a folder that nobody lists", (at) => mkdirSync(at, { mode: 0o300 })],
  [
    "a folder that closes what is made in it",
    (at) => {
      mkdirSync(at);
      execFileSync("python3", ["-c", DENY_ALL, at]);
    },
  ],
];

describe.skipIf(isRealCluster)("before a run starts", () => {
  const stage = useStage({ mapping: "mount" });
  let holder: ChildProcess | undefined;
  afterEach(() => void holder?.kill("SIGKILL"));

  const folderOf = ({ agent }: Work): string =>
    join(stage.dataRoot, "instances/default/run-logs", agent.companyId, agent.id);
  const works = async (task: Work): Promise<void> => {
    const { result, stderr } = await run(answer("the real work"), task);
    expect(result, stderr).toMatchObject({ exitCode: 0, summary: "the real work", costUsd: 0.5 });
  };

  test.each(FOLDERS)("%s in the place of the agent's folder does not fail it", async (_what, lay) => {
    const task = work();
    mkdirSync(dirname(folderOf(task)), { recursive: true });
    lay(folderOf(task));
    await works(task);
  });

  test.each(FOLDERS)("%s in the place of the company's folder does not fail it", async (_what, lay) => {
    const task = work();
    task.agent.companyId = `company-of-${task.agent.id}`;
    const company = dirname(folderOf(task));
    mkdirSync(dirname(company), { recursive: true });
    lay(company);
    await works(task);
    chmodSync(company, 0o755);
  });

  test("whoever holds its files, and those of earlier runs that never were, does not fail it", async () => {
    const task = { ...work(), runId: "" };
    task.runId = `held-${task.agent.id}`;
    mkdirSync(folderOf(task), { recursive: true });
    const started = join(folderOf(task), `${task.runId}.pod.started`);
    const nonces = Array.from({ length: 100 }, (_, n) => join(folderOf(task), `earlier-${n}.pod.nonce`));
    for (const path of [started, ...nonces, ...nonces.map((path) => path.replace(/nonce$/, "started"))])
      writeFileSync(path, "x");
    holder = spawn("python3", ["-c", HOLD, started, ...nonces], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => holder!.stdout!.once("data", resolve));
    holder.stdout!.resume();
    await works(task);
  });
});
