/** `volumeAccess: own`: what a run's workspace names, and what an agent makes of the way to it, shows nothing more. */
import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { answer, held, isRealCluster, run, useStage } from "../run/stage.js";
import { work } from "../run/work.js";

describe.skipIf(isRealCluster)("an agent that is to see its own folders only", () => {
  const stage = useStage({ mapping: "mount" });
  const config = { volumeAccess: "own" };
  const inWorkspace = (cwd: string) => ({ context: { paperclipWorkspace: { cwd } } });
  const look = (folder: string): string => `[ -e ${folder}/of-another ] && echo seen >&2; ${answer("looked")}`;

  test("works in its workspace, and finds nothing of others", async () => {
    mkdirSync(join(stage.dataRoot, "work/other"), { recursive: true });
    writeFileSync(join(stage.dataRoot, "work/other/of-another"), "secret");
    const task = work();
    // The program that stands for opencode lies on the volume.
    const home = join(stage.dataRoot, "instances/default/agent-homes", task.agent.companyId);
    cpSync(join(stage.dataRoot, "test-bin"), join(home, "test-bin"), { recursive: true });
    const cwd = "/paperclip/work/mine";
    const { result, stderr } = await run(look("/paperclip/work/other"), { ...task, config, ...inWorkspace(cwd) });
    expect(result, stderr).toMatchObject({ exitCode: 0, summary: "looked" });
    expect(stderr).not.toContain("seen");
    expect(existsSync(join(stage.dataRoot, "work/mine"))).toBe(true);
  });

  test.each(["instances", "instances/default/run-logs", "work/../instances"])(
    "does not start in %s, and nothing is made",
    async (folder) => {
      const before = await held(stage);
      const cwd = `/paperclip/${folder}`;
      const { result } = await run(answer("never"), { ...work(), config, ...inWorkspace(cwd) });
      expect(result).toMatchObject({ exitCode: null, errorCode: "k8s_config_invalid" });
      expect(result.errorMessage).toMatch(new RegExp(`^Not a folder of its own: cwd ${cwd} `));
      expect(await held(stage)).toEqual(before);
    },
  );

  test("does not start where its workspace is a link that leads elsewhere", async () => {
    mkdirSync(join(stage.dataRoot, "work/repo"), { recursive: true });
    symlinkSync("../../instances", join(stage.dataRoot, "work/repo/task"));
    const before = await held(stage);
    const cwd = "/paperclip/work/repo/task";
    const { result } = await run(answer("never"), { ...work(), config, ...inWorkspace(cwd) });
    expect(result).toMatchObject({ exitCode: null, errorCode: "k8s_shared_volume_missing" });
    expect(result.errorMessage).toMatch(/^Folder leads elsewhere: .*work\/repo\/task: /);
    expect(await held(stage)).toEqual(before);
  });
});
