/** What the host offers beside a run: a company's GitHub connection and MCP servers, and the word on a new agent. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";

import { githubBrokerEnvironment } from "@paperclipai/adapter-utils/github-launcher";
import { expect, test } from "vitest";

import { adapter } from "../boundary/package.js";
import { answer, countAroundEachTest, isRealCluster, run, useStage } from "./stage.js";

const PROGRAMS = `/paperclip/test-bin:${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;

const stage = useStage();
countAroundEachTest(stage);

test.skipIf(isRealCluster)("git commits with the identity of the company's connection", async () => {
  const env = { GIT_AUTHOR_NAME: "Ada", GIT_AUTHOR_EMAIL: "a@x.example" };
  const identity = { ...env, GIT_COMMITTER_NAME: "Ada", GIT_COMMITTER_EMAIL: "a@x.example" };
  const asked: unknown[] = [];
  const broker = createServer((request, response) => {
    asked.push(request.headers["x-paperclip-github-capability"]);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ status: "available", env: identity }));
  });
  await new Promise<void>((resolve) => broker.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(broker.address() as AddressInfo).port}`;
  const folder = "/tmp/paperclip-github-runtime/run-1";
  const program = `cd "$(mktemp -d)" && git init -q . && touch a && git add a
git commit -qm one && git log --format=%an
${answer("done")}`;
  try {
    const seen = await run(program, {
      config: {
        env: {
          PATH: PROGRAMS,
          ...githubBrokerEnvironment({}, { url, token: "capability-1" }),
          GH_CONFIG_DIR: `${folder}/gh-config`,
          PAPERCLIP_GITHUB_LAUNCHER_DIR: folder,
        },
      },
    });
    expect([seen.result.errorMessage, seen.lines[0]]).toEqual([null, "Ada"]);
    expect(new Set(asked)).toEqual(new Set(["capability-1"]));
  } finally {
    await new Promise((resolve) => broker.close(resolve));
  }
});

test("the MCP servers of the company reach opencode, and their tokens no page", async () => {
  const servers = [{ name: "tracker", url: "https://mcp.example/1", token: "mcp-token-123456", connectionId: "c" }];
  const seen = await run(`printf '%s\\n' "$OPENCODE_CONFIG_CONTENT"\n${answer("done")}`, {
    runtimeMcp: { getServers: () => servers },
  });
  const { mcp } = JSON.parse(seen.lines[0]!) as { mcp: Record<string, unknown> };
  expect(mcp["tracker"]).toMatchObject({ type: "remote", url: "https://mcp.example/1", enabled: true });
  expect(JSON.stringify(mcp)).toContain("Authorization");
});

test.skipIf(isRealCluster)(
  "an approved agent whose runs would fail is named at once, by its company's namespace",
  async () => {
    const hired = (config: object) =>
      adapter.createServerAdapter().onHireApproved!(
        {
          companyId: "Company-1",
          agentId: "a",
          agentName: "Ada",
          adapterType: "opencode_k8s",
          source: "approval",
          sourceId: "s",
          approvedAt: "2026-01-01T00:00:00Z",
          message: "",
        },
        config as Record<string, unknown>,
      );
    expect(await hired({})).toMatchObject({ ok: true });
    // The host puts the values of its bindings in before a run only.
    const env = { ONE: { type: "plain", value: "1" }, TOKEN: { type: "secret_ref", secretId: "s" }, TWO: "2" };
    expect(await hired({ env })).toMatchObject({ ok: true });
    const refused = await hired({ podSpecPatch: { restartPolicy: "Always" } });
    expect(refused).toMatchObject({ ok: false, error: expect.stringContaining("restartPolicy") });
    const elsewhere = await hired({ namespace: "agents-{{companyId}}" });
    expect(elsewhere.ok).toBe(false);
    expect(JSON.stringify(elsewhere)).toContain("agents-company-1");
  },
);
