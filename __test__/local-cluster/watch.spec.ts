/** Watches of the API: what they send, in which order, from which version on, and how they end. */

import { request } from "node:http";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { job, run, useCluster } from "./support.js";

const cluster = useCluster();

const JOBS = "/apis/batch/v1/namespaces/paperclip/jobs";

/** A request as the account of the adapter (its token is in its kubeconfig). */
const headers = (): { authorization: string } => {
  const token = /token: "(.*)"/.exec(readFileSync(cluster.current.kubeconfig, "utf8"))![1];
  return { authorization: `Bearer ${token}` };
};

/** The version of all Jobs, as a list gives it. */
async function versionOfJobs(): Promise<string> {
  const listed = await fetch(`${cluster.current.url}${JOBS}?limit=500`, { headers: headers() });
  return ((await listed.json()) as any).metadata.resourceVersion;
}

/** The events of a watch, until enough or its end; it gets each. */
function watch(
  path: string,
  enough: (events: any[]) => boolean = () => false,
  onEvents: (events: any[]) => void = () => {},
): Promise<any[]> {
  return new Promise((resolve, reject) => {
    const events: any[] = [];
    const asked = request(cluster.current.url + path, { headers: headers() }, (response) => {
      let rest = "";
      response.on("data", (chunk) => {
        const lines = (rest + String(chunk)).split("\n");
        rest = lines.pop()!;
        events.push(...lines.map((line) => JSON.parse(line)));
        onEvents(events);
        if (enough(events)) asked.destroy();
      });
      response.on("close", () => resolve(events));
      response.on("error", () => resolve(events));
    });
    asked.on("error", (error) => (events.length > 0 ? resolve(events) : reject(error)));
    asked.end();
  });
}

describe("watch", () => {
  const WATCH = `${JOBS}?watch=true&timeoutSeconds=290`;

  it("gives what exists, then changes, as one selector sees them", async () => {
    await cluster.current.create(
      "jobs",
      job("exit 0", { name: "w1", spec: { suspend: true }, metadata: { labels: { w: "1" } } }),
    );
    let isOpen = (): void => {};
    const opened = new Promise<void>((resolve) => (isOpen = resolve));
    const isOver = (events: any[]): boolean => events.at(-1)?.type === "DELETED";
    const seen = watch(`${WATCH}&labelSelector=w%3D1`, isOver, (events) => events.length > 0 && isOpen());
    await opened;
    await cluster.current.create("jobs", job("exit 0", { name: "w2", spec: { suspend: true } }));
    await cluster.current.patch("jobs", "w2", { metadata: { labels: { w: "1" } } });
    await cluster.current.patch("jobs", "w1", { metadata: { labels: { w: "2" } } });
    expect((await seen).map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual([
      "ADDED w1",
      "ADDED w2",
      "DELETED w1",
    ]);
    await cluster.current.delete("jobs", "w1");
    await cluster.current.delete("jobs", "w2");
  });

  it("resumes after a version, in order, with growing versions", async () => {
    const resourceVersion = await versionOfJobs();
    const result = await run(cluster.current, job("exit 0"));
    const events = await watch(`${WATCH}&resourceVersion=${resourceVersion}`, (all) =>
      all.some(({ object }) => object.status?.conditions),
    );
    const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect([events[0].type, events[0].object.metadata.name]).toEqual(["ADDED", result.job.metadata.name]);
    expect(new Set(versions).size).toBe(versions.length);
  });

  it("bookmarks before its timeout and ends cleanly", async () => {
    const resourceVersion = await versionOfJobs();
    const events = await watch(
      `${JOBS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`,
    );
    expect(events.at(-1)).toMatchObject({
      type: "BOOKMARK",
      object: { kind: "Job", apiVersion: "batch/v1", metadata: { resourceVersion: expect.stringMatching(/^\d+$/) } },
    });
  });

  it("answers 410 for a version that is compacted away, and 422 for streaming lists", async () => {
    await cluster.current.fault({ kind: "compact" });
    expect(await watch(`${WATCH}&resourceVersion=1001`)).toMatchObject([
      {
        type: "ERROR",
        object: {
          code: 410,
          reason: "Expired",
          message: expect.stringMatching(/^too old resource version: 1001 \(\d+\)$/),
        },
      },
    ]);
    const streaming = `${WATCH}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`;
    expect((await fetch(cluster.current.url + streaming, { headers: headers() })).status).toBe(422);
  });
});
