/** A person cancels a run whose agent is in a tool. */
import { setTimeout as sleep } from "node:timers/promises";

import { readLog, readRun, runEnded, textOf } from "../paperclip/run.js";
import type { Stage } from "../stage.js";
import { until } from "../wait.js";

/** The answer to the cancel is the server's word that the agent has ended; the cluster is asked whether it has. */
export async function cancel(stage: Stage): Promise<void> {
  const { api } = stage.company;
  const worker = await stage.company.putToWork("Cancelled", "hangs-in-tool");
  await stage.check("the agent to be cancelled is at work", "its pod runs, its tool was asked for", async () => {
    const [pod] = await until("its pod", 120, async () => {
      const pods = await stage.cluster.ours("pods", worker);
      return pods.some(({ status }) => status?.phase === "Running") ? pods : null;
    });
    await until("its first line", 60, async () =>
      textOf(await readLog(api, worker.runId), "stdout").includes('"step_start"'),
    );
    return { seen: `pod ${pod?.metadata.name}`, ok: true };
  });
  await stage.check("the run page meanwhile", "says that the agent is at work, and goes on to say so", async () => {
    const isTold = async (): Promise<string | false> => {
      const { currentStatusMessage: told } = await readRun(api, worker.runId);
      return told === "The agent is at work" || told === "Using bash" ? told : false;
    };
    await until("its word", 10, isTold);
    // The host shows an event in its place, until the next word.
    await sleep(5000);
    const seen = await isTold();
    return { seen: seen || ((await readRun(api, worker.runId)).currentStatusMessage ?? "nothing"), ok: seen !== false };
  });
  await stage.pictures.take("live", worker);
  await stage.check("cancel", "HTTP 200, the Job is gone, and no container of its pod runs", async () => {
    const answer = await api.post<{ status: string }>(`/api/heartbeat-runs/${worker.runId}/cancel`);
    // The kubelet removes the pod's object some seconds after its containers have ended.
    const pods = await stage.cluster.ours("pods", worker);
    const atWork = pods.filter(({ status }) => status?.phase !== "Failed" && status?.phase !== "Succeeded");
    const jobs = await stage.cluster.ours("jobs", worker);
    const seen = `HTTP 200, ${answer.status}, ${atWork.length} pods at work, ${jobs.length} Jobs`;
    return { seen, ok: atWork.length === 0 && jobs.length === 0 };
  });
  await stage.check("the cancelled run", "cancelled", async () => {
    const run = await runEnded(api, worker.runId);
    return { seen: `${run.status} ${run.errorCode}: ${run.error}`, ok: run.status === "cancelled" };
  });
  await stage.pictures.take("cancelled", worker);
  await stage.company.dismiss(worker);
}
