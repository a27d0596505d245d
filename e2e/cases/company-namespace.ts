/** Agents of one company in a namespace that `deploy/company-namespace.yaml` makes: places, queues, and its test. */
import { copyInherited, createCompanyNamespace } from "../cluster/setup.js";
import type { ClusterView } from "../cluster/cluster-view.js";
import type { Worker } from "../paperclip/company.js";
import { readLog, textOf } from "../paperclip/run.js";
import { describe, type Stage } from "../stage.js";
import { until } from "../wait.js";

const NAMESPACE = "agents-{{companyId}}";

export async function companyNamespace(stage: Stage): Promise<void> {
  const { company, options, kubectl, root } = stage;
  if (!stage.server)
    return stage.skip("a namespace for each company", "its agents work there", "not made: no rights for it");
  await stage.check("the environment test without it", "names the namespace that is missing", async () => {
    const { status, checks } = await company.testEnvironment({ namespace: NAMESPACE });
    const bad = checks.filter(({ level, message }) => level !== "info" && message.includes(`agents-${company.id}`));
    return { seen: `${status}: ${bad.map(({ code }) => code).join(", ")}`, ok: status === "fail" && bad.length > 0 };
  });
  const remove = await createCompanyNamespace(kubectl, options, root, company.id);
  try {
    await inNamespace(stage, stage.cluster.in(`agents-${company.id}`));
  } finally {
    await remove();
  }
}

async function inNamespace(stage: Stage, cluster: ClusterView): Promise<void> {
  await stage.check("the environment test with it", "names the Secret without which no agent starts", async () => {
    const { status, checks } = await stage.company.testEnvironment({ namespace: NAMESPACE });
    const missing = checks.filter(({ code }) => /^k8s_inherited_\w+_missing$/.test(code));
    const seen = `${status}: ${missing.map(({ message }) => message.split(" is ")[0]).join(", ")}`;
    return { seen, ok: status === "fail" && missing.length === 1 };
  });
  await copyInherited(stage.kubectl, stage.company.id);
  await stage.check("the environment test with all of it", "pass", async () => {
    const { status, checks } = await stage.company.testEnvironment({ namespace: NAMESPACE });
    const bad = checks.filter(({ level }) => level !== "info").map(({ code, message }) => `${code}: ${message}`);
    return { seen: [status, ...bad].join("; "), ok: status === "pass" };
  });
  await places(stage, cluster);
  await queue(stage, cluster);
}

/** One place for two agents: the second waits for the first, and says so. */
async function places(stage: Stage, cluster: ClusterView): Promise<void> {
  const config = { namespace: NAMESPACE, maxConcurrentRuns: 1 };
  const first = await stage.company.putToWork("First", "works-short", config);
  await until("the first agent's Job", 60, async () => (await cluster.ours("jobs", first)).length > 0);
  const second = await stage.company.putToWork("Second", "works", config);
  await stage.check(
    "an agent over maxConcurrentRuns",
    "waits for a place, has no Job meanwhile, and works then",
    async () => {
      await until("its word", 60, async () =>
        textOf(await readLog(stage.company.api, second.runId), "stdout").includes("Waiting for a place: 1 run(s)"),
      );
      const jobs = await cluster.ours("jobs", second);
      const ended = await Promise.all([first, second].map(({ runId }) => stage.ended(runId)));
      const seen = `${jobs.length} Jobs while it waited; ${ended.map(({ run }) => describe(run)).join("; ")}`;
      return { seen, ok: jobs.length === 0 && ended.every(({ run }) => run.status === "succeeded") };
    },
  );
}

/** A Job that something suspends before it has a pod, as a queue does, and lets go on later. */
async function queue(stage: Stage, cluster: ClusterView): Promise<void> {
  const what = "a Job that is suspended, and admitted later";
  const expected = "says that it is queued, outlasts its schedule limit, and works then";
  const own = stage.kubectl.in(`agents-${stage.company.id}`);
  const quota = (pods: string): Promise<string> =>
    own.run(["patch", "resourcequota", "agents", "--type=merge", "-p", JSON.stringify({ spec: { hard: { pods } } })]);
  await quota("0");
  // The quota's controller counts a little later.
  await until("the quota", 30, async () => {
    const { status } = await own.json<{ status: { hard: { pods: string } } }>([
      "get",
      "resourcequota",
      "agents",
      "-o",
      "json",
    ]);
    return status.hard.pods === "0";
  });
  const config = { namespace: NAMESPACE, queueName: "agents", scheduleTimeoutSec: 45 };
  const worker = await stage.company.putToWork("Queued", "works", config);
  const suspend = async (isSuspended: boolean): Promise<boolean> => {
    const [job] = await until("its Job", 60, async () => {
      const jobs = await cluster.ours("jobs", worker);
      return jobs.length > 0 ? jobs : null;
    });
    const patch = JSON.stringify({ spec: { suspend: isSuspended } });
    await own.run(["patch", "job", job!.metadata.name, "--type=merge", "-p", patch]);
    const [now] = await cluster.ours("jobs", worker);
    return now?.spec?.["suspend"] === isSuspended;
  };
  if (!(await suspend(true))) {
    await quota("50");
    await stage.ended(worker.runId);
    return stage.skip(
      what,
      expected,
      "this Kubernetes has no suspended Jobs (1.21); __test__/run/queue.spec.ts plays them",
    );
  }
  await quota("50");
  await stage.check(what, expected, async () => {
    await queued(stage, worker);
    await suspend(false);
    const { run } = await stage.ended(worker.runId);
    return { seen: describe(run), ok: run.status === "succeeded" };
  });
}

async function queued(stage: Stage, { runId }: Worker): Promise<void> {
  const says = (words: string) => async () => textOf(await readLog(stage.company.api, runId), "stdout").includes(words);
  await until("the word of its queue", 60, says("is suspended: it waits in its queue"));
  // Past the limit that a Job without a queue would have had.
  await until("a sign of life after the limit", 120, says("queued (45s"));
}
