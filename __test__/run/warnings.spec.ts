/** What the API server warns of in a header when it takes a Job whose pods will be refused, as Pod Security does. */
import { afterEach, describe, expect, test } from "vitest";

import { adapter } from "../boundary/package.js";
import { answer, countAroundEachTest, isRealCluster, run, useStage } from "./stage.js";

const WORDS = 'would violate PodSecurity "restricted:latest": runAsNonRoot != true (pod must set it to "true")';

describe.skipIf(isRealCluster)("a warning of the API server", () => {
  const stage = useStage();
  countAroundEachTest(stage);
  afterEach(() => stage.local.clearFaults());

  const refuse = { kind: "deny-pods", message: "pods are forbidden: violates PodSecurity" } as const;
  const withoutEvents = { kind: "status", code: 403, verb: "list", resource: "events" } as const;

  test("is said in the run's log, and in its failure where nothing else says why there is no pod", async () => {
    for (const fault of [{ kind: "warn", resource: "jobs", text: WORDS } as const, refuse, withoutEvents])
      await stage.local.fault(fault);
    const { result, stderr } = await run(answer("never"), { config: { scheduleTimeoutSec: 1 } });
    expect(result).toMatchObject({ exitCode: null, errorCode: "k8s_pod_schedule_failed" });
    expect(result.errorMessage).toMatch(/^Refused by Pod Security: would violate PodSecurity "restricted:latest": /);
    expect(result.errorMessage).toContain("no pod was made for job");
    expect(stderr.split("\n").filter((line) => line.includes(WORDS))[0]).toMatch(
      /^\[paperclip\] the API server warns: /,
    );
  });

  test("changes nothing where the pod is made all the same", async () => {
    await stage.local.fault({ kind: "warn", resource: "jobs", text: WORDS });
    const { result, stderr } = await run(answer("done"));
    expect(result).toMatchObject({ exitCode: 0, summary: "done", errorMessage: null });
    expect(stderr).toContain(WORDS);
  });

  test("is a finding of the environment test, of the Job and of its pod", async () => {
    await stage.local.fault({ kind: "warn", resource: "jobs|pods", text: WORDS });
    const tested = { companyId: "company-1", adapterType: "opencode_k8s", config: {} };
    const { checks, status } = await adapter.createServerAdapter().testEnvironment(tested);
    expect(status).toBe("warn");
    for (const [code, what] of [
      ["k8s_job_warned", "a Job"],
      ["k8s_pod_warned", "an agent's pod"],
    ])
      expect(checks).toContainEqual(
        expect.objectContaining({ code, level: "warn", message: `The API server warns of ${what}: ${WORDS}.` }),
      );
  });
});
