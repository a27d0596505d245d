/** Agents with a task of their own that count how often they ran, for the suites in which servers die or meet. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect } from "vitest";

import { serve } from "./server.js";
import { answer, contextOf, filesLeft, isRealCluster, type Stage } from "./stage.js";

let agents = 0;

export interface Work {
  agent: { id: string; companyId: string; name: string };
  context: { issueId: string };
}

/** An agent with a task of its own. */
export function work(): Work {
  const id = `restart-${process.pid}-${Date.now()}-${agents++}`;
  return { agent: { id, companyId: "company-1", name: "Ada" }, context: { issueId: `task-${id}` } };
}

/** How often the agent of this task ran. */
export function timesRun(stage: Stage, { agent }: Work): number {
  const mark = join(stage.dataRoot, "test-bin", `ran-${agent.id}`);
  return existsSync(mark) ? readFileSync(mark, "utf8").split("\n").length - 1 : 0;
}

/** Counts itself, prints eleven lines over a good second, and answers. */
export const steady = (task: Work, text = "steady", pause = 0.1): string =>
  `echo x >>/paperclip/test-bin/ran-${task.agent.id}
for i in 0 1 2 3 4 5 6 7 8 9 10; do echo "line $i"; sleep ${pause}; done; ${answer(text)}`;
export const STEADY = Array.from({ length: 11 }, (_, i) => `line ${i}`);

export async function expectNothingLeft(stage: Stage, { agent }: Work): Promise<void> {
  expect(filesLeft(stage).filter((name) => name.includes(agent.id))).toEqual([]);
  if (isRealCluster) return;
  const left = async (resource: string): Promise<string[]> =>
    (await stage.local.list(resource, { labelSelector: `paperclip.io/agent-id=${agent.id}` })).map(
      ({ metadata }) => metadata.name,
    );
  expect(await left("jobs")).toEqual([]);
  expect(await left("secrets")).toEqual([]);
}

/** Starts the program on a server that is killed while the agent works. */
export async function abandon(task: object, program: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  const server = serve(contextOf(program, task));
  await server.said("line 2");
  server.child.kill(signal);
  await server.ended;
}

/** Status lines about earlier runs that nobody heard the end of. */
export const told = (stdout: string): string[] =>
  stdout.split("\n").filter((line) => line.includes("ended while nobody was listening"));
