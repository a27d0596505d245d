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

describe("the host's signal", () => {
  const watched = (reason?: Error) => {
    const [reasons, said]: [string[], string[]] = [[], []];
    const controller = new AbortController();
    const stop = watchCancellation({
      ctx: { signal: controller.signal },
      issueId: null,
      apiUrl: undefined,
      cancel: (why) => reasons.push(why),
      warn: (message) => said.push(message),
    });
    controller.abort(reason);
    stop();
    return { reasons, said };
  };

  it("cancels, whatever its reason", () => {
    for (const reason of [undefined, new Error("Cancelled by Ada"), new Error("Run stopped before provider startup")])
      expect(watched(reason)).toEqual({ reasons: ["signal"], said: [] });
  });

  it("cancels nothing when the host has only lost its lease on the run, as at its shutdown", () => {
    expect(watched(new Error("Legacy controller lease lost"))).toEqual({
      reasons: [],
      said: [expect.stringMatching(/^Warning: Paperclip gave this run up .* Its agent works on$/)],
    });
  });
});

describe("the issue's status", () => {
  it("cancels when it becomes cancelled, whatever the API answered before", async () => {
    const { requests, apiUrl } = await api([500, "not json", "null", '{"status":"done"}', '{"status":"cancelled"}']);
    const reasons: string[] = [];
    const stop = watchCancellation({
      ctx: { authToken: "token" },
      issueId: "a/b",
      apiUrl,
      cancel: (reason) => reasons.push(reason),
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
      issueId: "i",
      apiUrl: `${apiUrl}/paperclip/`,
      cancel: () => {},
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
    const stop = watchCancellation({ ctx: {}, issueId: "i", apiUrl, cancel: () => {}, warn, pollMs: 1 });
    await eventually(() => said.length > 0);
    stop();
    expect(said[0]).toContain("127.0.0.1:1");
  });

  it("is not asked for any more after the end", async () => {
    const { requests, apiUrl } = await api(['{"status":"in_progress"}']);
    const stop = watchCancellation({ ctx: {}, issueId: "i", apiUrl, cancel: () => {}, pollMs: 5 });
    await eventually(() => requests.length > 1);
    stop();
    const count = requests.length;
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(requests.length - count).toBeLessThanOrEqual(1);
    expect(requests[0]?.authorization).toBeUndefined();
  });

  it("does not matter without an issue or an address, and an unreachable API cancels nothing", async () => {
    const reasons: string[] = [];
    const cancel = (reason: string) => void reasons.push(reason);
    watchCancellation({ ctx: {}, issueId: null, apiUrl: "http://127.0.0.1:1", cancel, pollMs: 1 })();
    watchCancellation({ ctx: {}, issueId: "i", apiUrl: undefined, cancel, pollMs: 1 })();
    for (const apiUrl of ["http://127.0.0.1:1", "no address"]) {
      const stop = watchCancellation({ ctx: {}, issueId: "i", apiUrl, cancel, pollMs: 1 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      stop();
    }
    expect(reasons).toEqual([]);
  });
});
