/** What the API shows of a run tells no secret. */
import { createHash } from "node:crypto";

import { expect, test } from "vitest";

import { answer, isRealCluster, run, useStage } from "../run/stage.js";
import { expectNothingLeft, work } from "../run/work.js";

const stage = useStage({ mapping: "mount" });

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
