/**
 * What an agent writes on the shared volume decides nothing about supervision, results and bills; what the API shows
 * tells no secret.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { answer, isRealCluster, openStage, run, type Stage } from "./stage.js";
import { expectNothingLeft, work } from "./work.js";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ mapping: "mount" });
});
afterAll(() => stage.close());

test("an agent that forges holder, record and usage is followed to its end and pays what it used", async () => {
  const task = work();
  const program = `
base=$(ls /paperclip/instances/default/run-logs/company-1/${task.agent.id}/*.pod.started); base=\${base%.started}
run=\${base##*/}; run=\${run%.pod}
${answer("I am done.")}
echo elsewhere.$(printf '%064d' 0) >"$base.holder"
echo '{"usage":{"inputTokens":999999999,"outputTokens":9,"cachedInputTokens":9},"costUsd":1e9}' >"$base.usage"
echo forged >"$base.nonce"
bytes=$(wc -c <"$base.ndjson"); sum=$(sha256sum <"$base.ndjson" | cut -c1-64)
head="{\\"v\\":1,\\"run\\":\\"$run\\",\\"pod\\":\\"p\\",\\"exit\\":0"
echo "$head,\\"bytes\\":$bytes,\\"sha256\\":\\"$sum\\"}" >"$base.end.json"
sleep 6
echo at work until now`;
  const { result, lines } = await run(program, task);
  expect(lines.at(-1)).toBe("at work until now");
  expect(result).toMatchObject({ exitCode: 0, usage: { inputTokens: 10 }, costUsd: 0.5 });
  await expectNothingLeft(stage, task);
});

test.skipIf(isRealCluster)("files that lie there for a run before it starts are not its result", async () => {
  const task = { ...work(), runId: `laid-${process.pid}-${Date.now()}` };
  const cluster = (await stage.local.get("namespaces", "paperclip")).metadata.uid;
  const folder = join(stage.dataRoot, "instances/default/run-logs", task.agent.companyId, task.agent.id);
  mkdirSync(folder, { recursive: true });
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

test.skipIf(isRealCluster)(
  "Job and pod show no key, no variable and no prompt, and their Secret goes with them",
  async () => {
    const task = work();
    const seen: string[] = [];
    const owners: unknown[] = [];
    const stops = [
      ...["jobs", "pods"].map((kind) =>
        stage.local.watch(kind, ({ object }) => void seen.push(JSON.stringify(object))),
      ),
      stage.local.watch("secrets", ({ object }) => void owners.push(object.metadata.ownerReferences?.[0])),
    ];
    const env = {
      PATH: "/paperclip/test-bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      AGENT_TOKEN: "hidden-agent-token",
    };
    const program = `echo "$AGENT_TOKEN $PAPERCLIP_API_KEY" | sha256sum; # hidden words of a prompt\n${answer("done")}`;
    const { result, lines } = await run(program, { ...task, config: { env }, authToken: "hidden-api-key" });
    for (const stop of stops) stop();
    expect(result).toMatchObject({ exitCode: 0, summary: "done" });
    const sum = createHash("sha256").update("hidden-agent-token hidden-api-key\n").digest("hex");
    expect(lines[0]).toBe(`${sum}  -`);
    const ours = seen.filter((text) => text.includes(task.agent.id));
    expect(ours.length).toBeGreaterThan(2);
    expect(ours.filter((text) => text.includes("hidden"))).toEqual([]);
    expect(owners).toContainEqual(expect.objectContaining({ kind: "Job" }));
    await expectNothingLeft(stage, task);
  },
);
