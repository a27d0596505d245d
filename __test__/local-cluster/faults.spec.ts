/** Every fault, seen from the client that it hits. */

import { readFileSync } from "node:fs";
import { request } from "node:http";
import { describe, expect, it } from "vitest";
import {
  condition,
  finished,
  gate,
  history,
  isRunning,
  job,
  noPods,
  pod,
  podsOf,
  run,
  sleep,
  useCluster,
  waitingReason,
} from "./support.js";

const cluster = useCluster();
const c = () => cluster.current;

const JOBS = "/apis/batch/v1/namespaces/paperclip/jobs";
const PODS = "/api/v1/namespaces/paperclip/pods";
const WATCH = `${PODS}?watch=true&timeoutSeconds=290&allowWatchBookmarks=true`;

interface Seen {
  code: number;
  body: any;
  retryAfter: string | undefined;
  /** Whether the connection broke before the end of the answer. */
  broken: boolean;
}

/** A request as the account; a watch ends when the server ends it, or after `limit` without a word. */
function ask(
  method: string,
  path: string,
  body?: unknown,
  limit = 180_000,
  onEvent: () => void = () => {},
): Promise<Seen> {
  const token = /token: "(.*)"/.exec(readFileSync(c().kubeconfig, "utf8"))![1];
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const asked = request(c().url + path, { method, headers, agent: false, timeout: limit }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += String(chunk);
        onEvent();
      });
      response.on("error", () => {});
      response.on("close", () => {
        const lines = text
          .split("\n")
          .filter(Boolean)
          .map((line) => JSON.parse(line));
        resolve({
          code: response.statusCode!,
          body: lines.length > 1 || path.includes("watch=true") ? lines : lines[0],
          retryAfter: response.headers["retry-after"],
          broken: !response.complete,
        });
      });
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.on("error", reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

describe("faults of requests", () => {
  it("answer 403 on watch only, by resource", async () => {
    await c().fault({ kind: "status", code: 403, verb: "watch", resource: "pods" });
    expect(await ask("GET", WATCH)).toMatchObject({
      code: 403,
      body: [{ reason: "Forbidden", message: expect.stringContaining('cannot watch resource "pods"') }],
    });
    expect((await ask("GET", PODS)).code).toBe(200);
  });

  it("answer 410 as HTTP status, and as an event of a watch that began well", async () => {
    await c().fault({ kind: "status", code: 410, verb: "watch", count: 1 });
    await c().fault({ kind: "gone-event", count: 1 });
    expect(await ask("GET", `${WATCH}&resourceVersion=1001`)).toMatchObject({
      code: 410,
      body: [{ kind: "Status", reason: "Expired", code: 410 }],
    });
    expect(await ask("GET", `${WATCH}&resourceVersion=1001`)).toMatchObject({
      code: 200,
      broken: false,
      body: [{ type: "ERROR", object: { kind: "Status", reason: "Expired", code: 410 } }],
    });
  });

  it("answer 429 with Retry-After, 500, 503 and 504, so many times, after so many", async () => {
    await c().fault({ kind: "status", code: 429, retryAfterSeconds: 1, verb: "list", skip: 1, count: 1 });
    const codes = [];
    for (let i = 0; i < 3; i++) codes.push(await ask("GET", PODS));
    expect(codes.map(({ code, retryAfter }) => [code, retryAfter])).toEqual([
      [200, undefined],
      [429, "1"],
      [200, undefined],
    ]);
    for (const [code, reason] of [
      [500, "InternalError"],
      [503, "ServiceUnavailable"],
      [504, "Timeout"],
    ] as const) {
      await c().fault({ kind: "status", code, count: 1, name: "paperclip-.*" });
      expect(await ask("GET", `${PODS}/paperclip-0`)).toMatchObject({
        code,
        body: { kind: "Status", status: "Failure", reason, code },
      });
    }
    const requests = await c().requests();
    expect(requests["get pods"]).toBeGreaterThanOrEqual(3);
    await c().resetRequests();
    expect(await c().requests()).toEqual({});
  });

  it("can do what was asked and still answer 504, or nothing", async () => {
    const faults = {
      "made-behind-504": { kind: "status", code: 504 },
      "made-behind-reset": { kind: "reset" },
    } as const;
    for (const [name, fault] of Object.entries(faults)) {
      await c().fault({ ...fault, verb: "create", resource: "jobs", perform: true, count: 1 });
      await ask("POST", JOBS, job("exit 0", { name })).then(
        ({ code }) => expect(code).toBe(504),
        (error) => expect(error.code).toBe("ECONNRESET"),
      );
      expect((await ask("POST", JOBS, job("exit 0", { name }))).body.reason).toBe("AlreadyExists");
      await c().delete("jobs", name);
    }
  });

  it("leave a request hanging until they are cleared", async () => {
    const clear = await c().fault({ kind: "hang", verb: "get" });
    await c().resetRequests();
    await expect(ask("GET", `${PODS}/paperclip-0`, undefined, 150)).rejects.toThrow("no answer");
    const hanging = ask("GET", `${PODS}/paperclip-0`).catch((error) => error.code);
    await expect.poll(async () => (await c().requests())["get pods"], { interval: 10 }).toBe(2);
    await clear();
    expect(await hanging).toBe("ECONNRESET");
    expect((await ask("GET", `${PODS}/paperclip-0`)).code).toBe(200);
  });

  it("drop a watch in mid-stream, by events or by time, or close it at once", async () => {
    await c().fault({ kind: "drop-watch", afterEvents: 1, count: 1 });
    await c().fault({ kind: "drop-watch", afterMs: 50, count: 1 });
    await c().fault({ kind: "close-watch", count: 1 });
    const dropped = await ask("GET", WATCH);
    expect([dropped.broken, dropped.body[0].type]).toEqual([true, "ADDED"]);
    expect((await ask("GET", WATCH)).broken).toBe(true);
    expect(await ask("GET", WATCH)).toMatchObject({ code: 200, broken: false });
  });

  it("refuse connections during an outage; what happened meanwhile shows afterwards", async () => {
    const { wait, open } = gate(c());
    const manifest = job(`${wait}; echo done`);
    await c().create("jobs", manifest);
    const running = await pod(c(), manifest.metadata.name, isRunning);
    let isOpen = (): void => {};
    const opened = new Promise<void>((resolve) => (isOpen = resolve));
    const watching = ask("GET", WATCH, undefined, undefined, isOpen);
    await opened;
    await c().fault({ kind: "outage" });
    expect((await watching).broken).toBe(true);
    await expect(ask("GET", PODS)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    open();
    await expect.poll(() => c().logs(running.metadata.name, "main"), { interval: 20 }).toBe("done\n");
    await c().clearFaults();
    expect((await ask("GET", PODS)).code).toBe(200);
    expect(condition(await finished(c(), manifest.metadata.name))).toBe("Complete");
  });

  it("refuse connections for so long", async () => {
    await c().fault({ kind: "outage", ms: 50 });
    await expect
      .poll(
        () =>
          ask("GET", PODS).then(
            ({ code }) => code,
            () => 0,
          ),
        { interval: 20 },
      )
      .toBe(200);
  });
});

it("refuses faults that do not exist", async () => {
  await expect(c().fault({ kind: "no-such-fault" } as never)).rejects.toThrow(
    'there is no fault of kind "no-such-fault"',
  );
  await expect(c().fault({ kind: "hang", verb: "(" })).rejects.toThrow("verb: Invalid regular expression");
});

describe("faults of pods", () => {
  const start = async (script: string, shape = {}): Promise<string> => {
    const manifest = job(script, shape);
    await c().create("jobs", manifest);
    return manifest.metadata.name;
  };

  it("leave a pod unscheduled until cleared", async () => {
    const clear = await c().fault({ kind: "unschedulable" });
    const name = await start("exit 0");
    const held = await pod(c(), name, (one) => one.status.conditions?.[0]?.reason === "Unschedulable");
    expect(held.status).toMatchObject({
      phase: "Pending",
      conditions: [
        {
          type: "PodScheduled",
          status: "False",
          message: expect.stringContaining("0/1 nodes are available: 1 Insufficient cpu."),
        },
      ],
    });
    await clear();
    expect(condition(await finished(c(), name))).toBe("Complete");
  });

  it("pull no image, then back off, then pull it", async () => {
    const clear = await c().fault({ kind: "image-pull", pod: "job-.*" });
    const created = await c().create("jobs", job("exit 0", { init: ["exit 0"] }));
    const { name } = created.metadata;
    const { states, stop } = history(c(), created);
    const held = await pod(c(), name, (one) => waitingReason(one) === "ImagePullBackOff");
    const shown = (): (string | undefined)[] => states.map(waitingReason);
    await expect.poll(() => shown().at(-1), { interval: 10 }).toBe("ImagePullBackOff");
    stop();
    expect(shown()).toContain("ErrImagePull");
    expect(held.status.containerStatuses![0]!.state.waiting!.message).toBe('Back-off pulling image "agent:latest"');
    await clear();
    expect(condition(await finished(c(), name))).toBe("Complete");
  });

  it("hold a container with any reason", async () => {
    await c().fault({ kind: "waiting", reason: "CrashLoopBackOff", container: "init-0" });
    const name = await start("exit 0", { init: ["exit 0"] });
    await pod(c(), name, (one) => one.status.initContainerStatuses?.[0]?.state.waiting?.reason === "CrashLoopBackOff");
    await c().delete("jobs", name);
    await noPods(c(), name);
  });

  it("fail an init container", async () => {
    await c().fault({ kind: "init-failure", exitCode: 7, message: "wrong volume" });
    const result = await run(c(), job("exit 0", { init: ["exit 0"] }));
    expect(condition(result.job)).toBe("Failed/BackoffLimitExceeded");
    expect(result.pod.status.initContainerStatuses![0]!.state.terminated).toMatchObject({
      exitCode: 7,
      reason: "Error",
      message: "wrong volume",
    });
  });

  it("kill for memory: the container, or only a child of it", async () => {
    await c().fault({ kind: "oom", count: 1 });
    expect((await run(c(), job("sleep 60"))).main).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    const { wait, open } = gate(c());
    const name = await start(`${wait}; exit 0`);
    await pod(c(), name, isRunning);
    await c().fault({ kind: "oom", exitCode: 0, pod: `${name}-.*` });
    open();
    expect(condition(await finished(c(), name))).toBe("Complete");
    const [spared] = await podsOf(c(), name);
    expect(spared!.status.containerStatuses![0]!.state.terminated).toMatchObject({ exitCode: 0, reason: "OOMKilled" });
  });

  it("evict under node pressure: the pod fails and stays", async () => {
    const name = await start("sleep 60");
    await pod(c(), name, isRunning);
    await c().fault({ kind: "evict", pod: `${name}-.*` });
    expect(condition(await finished(c(), name))).toBe("Failed/BackoffLimitExceeded");
    const [evicted] = await podsOf(c(), name);
    expect(evicted!.status).toMatchObject({
      phase: "Failed",
      reason: "Evicted",
      message: expect.stringContaining("The node was low on resource: memory."),
    });
    expect(evicted!.status.containerStatuses![0]!.state.terminated).toMatchObject({ exitCode: 137 });
  });

  it("drain or force-delete: a second pod runs", async () => {
    for (const fault of [
      { kind: "evict", mode: "drain" },
      { kind: "delete-pod", force: true },
    ] as const) {
      const name = await start("trap 'exit 143' TERM; while :; do sleep 0.05; done");
      const first = await pod(c(), name, isRunning);
      await c().fault({ ...fault, pod: first.metadata.name });
      await pod(c(), name, (one) => one.metadata.uid !== first.metadata.uid && isRunning(one));
      await c().delete("jobs", name);
    }
  });

  it("show the phase before the terminated state, or after it", async () => {
    for (const first of ["phase", "state"] as const) {
      await c().clearFaults();
      const clear = await c().fault({ kind: "lag-status", first });
      const name = await start("exit 0");
      const terminated = (one: any): boolean => one.status.containerStatuses?.[0]?.state.terminated !== undefined;
      const early = await pod(c(), name, (one) =>
        first === "phase" ? one.status.phase === "Succeeded" : terminated(one),
      );
      expect([early.status.phase === "Succeeded", terminated(early)]).toEqual([first === "phase", first === "state"]);
      await clear();
      await pod(c(), name, (one) => one.status.phase === "Succeeded" && terminated(one));
    }
  });

  it("forget the end of a container, whatever it was: the pod is Failed, the container waits again", async () => {
    await c().fault({ kind: "forget-end" });
    const result = await run(c(), job("exit 0", { init: ["exit 0"] }));
    expect(condition(result.job)).toBe("Failed/BackoffLimitExceeded");
    expect(result.pod.status).toMatchObject({
      phase: "Failed",
      containerStatuses: [
        {
          state: { waiting: { reason: "PodInitializing" } },
          lastState: { terminated: { exitCode: 137, reason: "ContainerStatusUnknown" } },
        },
      ],
    });
    expect(result.pod.status.reason).toBeUndefined();
  });

  it("reject a pod: nothing is said of its containers", async () => {
    await c().fault({ kind: "reject", reason: "OutOfpods", message: "Node didn't have enough resource: pods" });
    const result = await run(c(), job("exit 0"));
    expect(condition(result.job)).toBe("Failed/BackoffLimitExceeded");
    expect(result.pod.status).toMatchObject({
      phase: "Failed",
      reason: "OutOfpods",
      message: "Pod was rejected: Node didn't have enough resource: pods",
    });
    expect(result.pod.status.containerStatuses).toBeUndefined();
  });

  it("freeze the status while the kubelet is down; containers run on", async () => {
    const { wait, open } = gate(c());
    const name = await start(`${wait}; echo ran on`);
    const running = await pod(c(), name, isRunning);
    const clear = await c().fault({ kind: "kubelet-down" });
    open();
    await expect.poll(() => c().logs(running.metadata.name), { interval: 20 }).toBe("ran on\n");
    const later = await start("exit 0");
    await sleep(100);
    expect([(await podsOf(c(), name))[0]!.status.phase, (await podsOf(c(), later))[0]!.status.phase]).toEqual([
      "Running",
      "Pending",
    ]);
    await clear();
    for (const one of [name, later]) expect(condition(await finished(c(), one))).toBe("Complete");
  });

  it("inject a sidecar that keeps the Job alive after its own container ended", async () => {
    await c().fault({ kind: "sidecar" });
    const name = await start("exit 0");
    const alive = await pod(
      c(),
      name,
      (one) =>
        one.status.containerStatuses?.some(({ name: container, state }) => container === "main" && state.terminated) ??
        false,
    );
    expect(alive.status.phase).toBe("Running");
    expect(alive.status.containerStatuses!.map(({ name: container }) => container)).toEqual(["main", "injected-proxy"]);
    await c().delete("jobs", name);
    await noPods(c(), name);
  });
});
