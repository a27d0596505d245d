/** Native sidecars (init containers that are always restarted), as a kubelet of 1.29 and later runs and shows them. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Pod } from "../../local-cluster/client.js";
import { condition, finished, gate, history, job, noPods, pod, podsOf, useCluster } from "./support.js";

const cluster = useCluster();
const c = () => cluster.current;

/** Writes its name into the file when it starts, and when it gets TERM. */
const noting = (name: string, file: string, exitCode = 0): string =>
  `trap 'echo ${name} TERM >>${file}; exit ${exitCode}' TERM; echo ${name} >>${file}; while :; do sleep 0.05; done`;

/** A Job whose first init containers are sidecars that run the scripts; the last one notes that it ran. */
function withSidecars(script: string, sidecars: string[], init: string): any {
  const manifest = job(script, { init: [...sidecars, init], pod: { terminationGracePeriodSeconds: 3_600 } });
  const { initContainers } = manifest.spec.template.spec;
  for (const container of initContainers.slice(0, sidecars.length)) container.restartPolicy = "Always";
  return manifest;
}

let files = 0;
const fileOf = (name: string): string => readFileSync(join(c().dataDir, name), "utf8");
const sidecarOf = ({ status }: Pod) => status.initContainerStatuses?.[0];
const hasEnded = ({ status }: Pod): boolean => status.containerStatuses?.[0]?.state.terminated !== undefined;

describe("native sidecars", () => {
  it("start before the others, run beside them, and are ended after them, the last one first", async () => {
    const name = `sidecars-${files++}`;
    const file = `/paperclip/${name}`;
    const until = (text: string): string => `while ! grep -q ${text} ${file}; do sleep 0.05; done`;
    const sidecars = [noting("one", file, 3), `${until("one")}; ${noting("two", file)}`];
    const manifest = withSidecars(`echo main >>${file}`, sidecars, `${until("two")}; echo init >>${file}`);
    const { states, stop } = history(c(), await c().create("jobs", manifest));
    const ended = await finished(c(), manifest.metadata.name);
    const [over] = await podsOf(c(), manifest.metadata.name);
    stop();
    expect(condition(ended)).toMatch(/^Complete/);
    expect(fileOf(name).trim().split("\n")).toEqual(["one", "two", "init", "main", "two TERM", "one TERM"]);
    expect(over!.status.phase).toBe("Succeeded");
    expect(over!.status.initContainerStatuses!.map(({ state }) => state.terminated?.exitCode)).toEqual([3, 0, 0]);
    const beside = states.find((state) => hasEnded(state) && sidecarOf(state)!.state.running);
    expect(beside?.status.phase).toBe("Running");
    expect(sidecarOf(beside!)).toMatchObject({ ready: true, started: true, restartCount: 0 });
  });

  it("are started again when they end, and show how they ended before", async () => {
    const { wait, open } = gate(c());
    const manifest = withSidecars(wait, ["sleep 0.1; exit 5"], "exit 0");
    await c().create("jobs", manifest);
    const { name } = manifest.metadata;
    const inBackOff = await pod(c(), name, (one) => sidecarOf(one)?.state.waiting?.reason === "CrashLoopBackOff");
    expect(sidecarOf(inBackOff)).toMatchObject({ restartCount: 2, lastState: { terminated: { exitCode: 5 } } });
    expect(inBackOff.status.phase).not.toBe("Failed");
    open();
    expect(condition(await finished(c(), name))).toMatch(/^Complete/);
  });

  it("hear of the end of a pod that is deleted when its main containers have ended", async () => {
    const name = `sidecars-${files++}`;
    const file = `/paperclip/${name}`;
    const manifest = withSidecars(noting("main", file), [noting("one", file)], "exit 0");
    await c().create("jobs", manifest);
    await expect.poll(() => fileOf(name), { interval: 20 }).toContain("main\n");
    await c().delete("jobs", manifest.metadata.name);
    await noPods(c(), manifest.metadata.name);
    expect(fileOf(name)).toMatch(/main TERM\none TERM\n$/);
  });

  it("keep a pod whose init container failed from being over until they have ended", async () => {
    const name = `sidecars-${files++}`;
    const manifest = withSidecars("exit 0", [noting("one", `/paperclip/${name}`)], "exit 9");
    const { states, stop } = history(c(), await c().create("jobs", manifest));
    expect(condition(await finished(c(), manifest.metadata.name))).toBe("Failed/BackoffLimitExceeded");
    stop();
    const failed = (state: Pod): boolean => state.status.initContainerStatuses?.[1]?.state.terminated?.exitCode === 9;
    expect(states.find(failed)?.status.phase).toBe("Pending");
    expect(states.at(-1)?.status.phase).toBe("Failed");
  });

  it("come from a webhook as well", async () => {
    await c().fault({ kind: "sidecar", native: true });
    const manifest = job("exit 0");
    await c().create("jobs", manifest);
    expect(condition(await finished(c(), manifest.metadata.name))).toMatch(/^Complete/);
    const [over] = await podsOf(c(), manifest.metadata.name);
    expect(over!.spec.initContainers).toMatchObject([{ name: "injected-proxy", restartPolicy: "Always" }]);
  });

  it("are init containers: others have no policy of their own", async () => {
    const refused = (manifest: object): Promise<unknown> => c().create("jobs", manifest as any);
    await expect(refused(job("exit 0", { container: { restartPolicy: "Always" } }))).rejects.toThrow(
      "spec.template.spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers",
    );
    const manifest = withSidecars("exit 0", ["exit 0"], "exit 0");
    manifest.spec.template.spec.initContainers[0].restartPolicy = "OnFailure";
    await expect(refused(manifest)).rejects.toThrow(
      'spec.template.spec.initContainers[0].restartPolicy: Unsupported value: "OnFailure": supported values: "Always"',
    );
  });
});
