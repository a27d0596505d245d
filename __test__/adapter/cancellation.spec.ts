import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import { watchCancellation } from "../../adapter/run/cancellation.js";
import { eventually } from "./fake-native.js";

let server: Server | undefined;
afterEach(() => void server?.close());

/** An API whose answers come from a list, the last one for ever. */
async function api(answers: (string | number)[]) {
  const requests: { url: string | undefined; authorization: string | undefined }[] = [];
  server = createServer((request, response) => {
    requests.push({ url: request.url, authorization: request.headers.authorization });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    response.statusCode = typeof answer === "number" ? answer : 200;
    response.end(typeof answer === "string" ? answer : "");
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return { requests, apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** What Paperclip 2026.916 aborts with: a cancel, a run that had ended before it began, and a lease that it lost. */
const [CANCEL, TOO_LATE, LEASE_LOST] = [
  "Cancelled by a board operator",
  "Run stopped before provider startup",
  "Legacy controller lease lost",
].map((message) => new Error(message));

const going = '{"status":"running","resultJson":null}';
const ended = (status: string) => JSON.stringify({ status });
const asked = '{"status":"running","resultJson":{"executionCancellation":{"state":"requested"}}}';

describe("the host's signal", () => {
  /** Aborts, lets the record be read so many times, and gives what was done and said. */
  async function aborted(reason: Error | undefined, answers: (string | number)[], times = answers.length) {
    const { requests, apiUrl } = await api(answers);
    const [reasons, said]: [string[], string[]] = [[], []];
    const controller = new AbortController();
    const stop = watchCancellation({
      ctx: { signal: controller.signal, authToken: "token" },
      runId: "r/1",
      issueId: null,
      apiUrl,
      stop: (why) => reasons.push(why),
      warn: (message) => said.push(message),
      pollMs: 2,
    });
    controller.abort(reason);
    await eventually(() => requests.length >= times && (reasons.length > 0 || requests.length > times));
    stop();
    return { reasons, said, requests };
  }

  it.each<[what: string, reason: Error | undefined, answers: (string | number)[], stops: string[]]>([
    ["a cancel, by its record", CANCEL, [asked], ["signal"]],
    ["an abort without a word that the record does not explain", undefined, [going], ["signal"]],
    ["a cancel whose record cannot be read", CANCEL, [401], ["signal"]],
    ["a run that was over before its abort", TOO_LATE, [ended("cancelled")], ["signal"]],
    ["a run that was interrupted before its abort", TOO_LATE, [ended("interrupted")], ["lease"]],
    ["a cancel that no longer counts as one is one all the same", CANCEL, [ended("failed")], ["signal"]],
    ["a shutdown", LEASE_LOST, [ended("interrupted")], ["lease"]],
    ["another server that took the run for lost", LEASE_LOST, [ended("failed")], ["lease"]],
    ["a cancel by another server, of which only the lease tells", LEASE_LOST, [ended("cancelled")], ["signal"]],
    ["a database that is back: the run goes on", LEASE_LOST, [500, 500, going], []],
    ["a cancel after the lease was lost", LEASE_LOST, [500, going, going, asked], ["signal"]],
    ["a shutdown after the lease was lost", LEASE_LOST, [going, ended("interrupted")], ["lease"]],
    ["records of no known kind", LEASE_LOST, ["null", "[]", "no json", ended("queued"), ended("toString")], []],
  ])("%s", async (_what, reason, answers, stops) => {
    const { reasons, requests } = await aborted(reason, answers);
    expect(reasons).toEqual(stops);
    expect(requests[0]).toEqual({ url: "/api/heartbeat-runs/r%2F1", authorization: "Bearer token" });
  });

  it("says that it is no cancel, and once that a later one is not noticed", async () => {
    const { reasons, said } = await aborted(LEASE_LOST, [403], 9);
    expect(reasons).toEqual([]);
    expect(said).toEqual([
      "Warning: Paperclip lost its lease on this run, which goes on",
      expect.stringMatching(
        /does not show this run's state here \(HTTP 403 from http.*a cancel of the run is not noticed$/,
      ),
    ]);
  });

  it("says who goes on with a run that was given up, and nothing of a cancel", async () => {
    const { said } = await aborted(LEASE_LOST, [ended("interrupted")]);
    expect(said).toEqual([
      expect.stringMatching(/ended this run without a cancel: its Job is left to the task's next run$/),
    ]);
    expect((await aborted(LEASE_LOST, [ended("cancelled")])).said).toEqual([]);
  });

  it("is the only word where nothing can be asked", () => {
    for (const [reason, stops] of [
      [CANCEL, ["signal"]],
      [undefined, ["signal"]],
      [LEASE_LOST, []],
    ] as const) {
      const reasons: string[] = [];
      const stop = (why: string) => void reasons.push(why);
      const signal = AbortSignal.abort(reason);
      watchCancellation({ ctx: { signal }, runId: "r", issueId: null, apiUrl: undefined, stop })();
      expect(reasons).toEqual(stops);
    }
  });

  it("is a cancel when its record does not come in time", async () => {
    const reasons: string[] = [];
    // As a server that takes the connection and never answers.
    const hangs: typeof fetch = (_url, init) =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
    const stop = (why: string) => void reasons.push(why);
    const signal = AbortSignal.abort(CANCEL);
    const end = watchCancellation({
      ctx: { signal },
      runId: "r",
      issueId: null,
      apiUrl: "http://127.0.0.1:1",
      stop,
      readLimitMs: 5,
      fetch: hangs,
    });
    await eventually(() => reasons.length > 0);
    end();
    expect(reasons).toEqual(["signal"]);
  });
});

describe("the issue's status", () => {
  it("cancels when it becomes cancelled, whatever the API answered before", async () => {
    const { requests, apiUrl } = await api([500, "not json", "null", '{"status":"done"}', '{"status":"cancelled"}']);
    const reasons: string[] = [];
    const stop = watchCancellation({
      ctx: { authToken: "token" },
      runId: "r",
      issueId: "a/b",
      apiUrl,
      stop: (reason) => reasons.push(reason),
      pollMs: 5,
    });
    await eventually(() => reasons.length > 0);
    stop();
    expect(reasons).toEqual(["issue"]);
    expect(requests).toHaveLength(5);
    expect(requests[0]).toEqual({ url: "/api/issues/a%2Fb", authorization: "Bearer token" });
  });

  it("is asked for below the path of the API, and a refusal that stays is said once", async () => {
    const { requests, apiUrl } = await api([401, '{"status":"todo"}', 401]);
    const said: string[] = [];
    const stop = watchCancellation({
      ctx: {},
      runId: "r",
      issueId: "i",
      apiUrl: `${apiUrl}/paperclip/`,
      stop: () => {},
      warn: (message) => said.push(message),
      pollMs: 5,
    });
    await eventually(() => requests.length > 8);
    stop();
    expect(requests[0]?.url).toBe("/paperclip/api/issues/i");
    expect(said).toEqual([expect.stringMatching(/does not show the task.s state here \(HTTP 401 from http/)]);
  });

  it("that nobody answers is said after some more tries", async () => {
    const said: string[] = [];
    const apiUrl = "http://127.0.0.1:1";
    const warn = (message: string) => void said.push(message);
    const stop = watchCancellation({ ctx: {}, runId: "r", issueId: "i", apiUrl, stop: () => {}, warn, pollMs: 1 });
    await eventually(() => said.length > 0);
    stop();
    expect(said[0]).toContain("127.0.0.1:1");
  });

  it("is not asked for any more after the end", async () => {
    const { requests, apiUrl } = await api(['{"status":"in_progress"}']);
    const stop = watchCancellation({ ctx: {}, runId: "r", issueId: "i", apiUrl, stop: () => {}, pollMs: 5 });
    await eventually(() => requests.length > 1);
    stop();
    const count = requests.length;
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(requests.length - count).toBeLessThanOrEqual(1);
    expect(requests[0]?.authorization).toBeUndefined();
  });

  it("does not matter without an issue or an address, and an unreachable API cancels nothing", async () => {
    const reasons: string[] = [];
    const stop = (reason: string) => void reasons.push(reason);
    watchCancellation({ ctx: {}, runId: "r", issueId: null, apiUrl: "http://127.0.0.1:1", stop, pollMs: 1 })();
    watchCancellation({ ctx: {}, runId: "r", issueId: "i", apiUrl: undefined, stop, pollMs: 1 })();
    for (const apiUrl of ["http://127.0.0.1:1", "no address"]) {
      const end = watchCancellation({ ctx: {}, runId: "r", issueId: "i", apiUrl, stop, pollMs: 1 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      end();
    }
    expect(reasons).toEqual([]);
  });
});
