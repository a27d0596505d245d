/** `maxConcurrentRuns`, and several installations in one namespace. */
import { expect, test } from "vitest";

import { serve } from "./server.js";
import {
  answer,
  contextOf,
  countAroundEachTest,
  gate,
  held,
  isRealCluster,
  run,
  useStage,
  whenLogged,
} from "./stage.js";

const stage = useStage();
countAroundEachTest(stage);

const config = { maxConcurrentRuns: 1, timeoutSec: 60 };
const WAITS = "Waiting for a place: 1 run(s) of namespace";

/** A run whose agent is at work until the gate opens. */
function atWork(program: string): { ended: ReturnType<typeof run>; works: Promise<void> } {
  let ended!: ReturnType<typeof run>;
  const works = new Promise<void>((resolve) => {
    ended = run(program, { config, onLog: whenLogged("at work", resolve) });
  });
  return { ended, works };
}

test("a run waits for a place before its Job is made, and then has it", async () => {
  const door = gate(stage);
  const first = atWork(`echo "at work"; ${door.wait}\n${answer("first")}`);
  await first.works;
  const before = isRealCluster ? 0 : (await stage.local.objects("jobs")).length;
  let jobs: number | undefined;
  const second = await run(answer("second"), {
    config,
    onLog: whenLogged(WAITS, async () => {
      if (!isRealCluster) jobs = (await stage.local.objects("jobs")).length;
      door.open();
    }),
  });
  expect(second.result).toMatchObject({ exitCode: 0, errorCode: null, summary: "second" });
  expect(second.stdout).toMatch(/Waiting for a place[\s\S]*A place is free, going on[\s\S]*Created K8s Job/);
  if (!isRealCluster) expect(jobs).toBe(before);
  expect((await first.ended).result).toMatchObject({ exitCode: 0, summary: "first" });
});

test("a run that waits answers a cancel at once, and leaves nothing", async () => {
  const door = gate(stage);
  const first = atWork(`echo "at work"; ${door.wait}\n${answer("first")}`);
  await first.works;
  const during = await held(stage);
  const cancel = new AbortController();
  const second = await run(answer("second"), {
    config,
    signal: cancel.signal,
    onCancellationReady: async () => {},
    onLog: whenLogged(WAITS, () => cancel.abort()),
  });
  expect(second.result).toMatchObject({
    errorCode: "cancelled",
    resultJson: { executionCancellation: { state: "acknowledged" } },
  });
  expect(second.stdout).not.toContain("Created K8s Job");
  await expect.poll(() => held(stage)).toEqual(during);
  door.open();
  expect((await first.ended).result).toMatchObject({ exitCode: 0 });
});

test("another installation's Job of the same agent and task is left alone", async () => {
  const door = gate(stage);
  const context = contextOf(`echo "at work"; ${door.wait}\n${answer("theirs")}`, { context: { taskId: "task-1" } });
  process.env["PAPERCLIP_INSTANCE_ID"] = "theirs";
  const theirs = serve(context);
  process.env["PAPERCLIP_INSTANCE_ID"] = "ours";
  try {
    await theirs.said("at work");
    const { agent } = context;
    const ours = await run(answer("ours"), { agent, context: { taskId: "task-1" } });
    expect(ours.result).toMatchObject({ exitCode: 0, errorCode: null, summary: "ours" });
    expect(ours.stdout).not.toMatch(/Waiting for concurrent|Reattaching/);
    door.open();
    expect((await theirs.ended)?.result).toMatchObject({ exitCode: 0, summary: "theirs" });
  } finally {
    delete process.env["PAPERCLIP_INSTANCE_ID"];
  }
});
