import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { serve } from "../run/server.js";
import { answer, contextOf, isRealCluster, run, useStage } from "../run/stage.js";
import { expectNothingLeft, steady, timesRun, work } from "../run/work.js";

const stage = useStage({ mapping: "mount" });

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

test.skipIf(isRealCluster)("an agent whose gate others call closed while no server runs is not run again", async () => {
  const task = work();
  const first = serve(contextOf(steady(task), task));
  await first.said("line 1");
  first.child.kill("SIGKILL");
  const folder = join(stage.dataRoot, "instances/default/run-logs", task.agent.companyId, task.agent.id);
  const nonce = readdirSync(folder).find((name) => name.endsWith(".pod.nonce"))!;
  writeFileSync(join(folder, nonce), "closed\n");
  await first.ended;
  const { result, stdout } = await run(steady(task), task);
  expect(result, stdout).toMatchObject({ exitCode: 0, summary: "steady" });
  expect(timesRun(stage, task)).toBe(1);
  await expectNothingLeft(stage, task);
});
