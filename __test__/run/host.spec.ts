/** What a Paperclip server shows and needs beyond lines and a result: live progress, dispatch, tools, recovery. */
import * as serverUtils from "@paperclipai/adapter-utils/server-utils";
import { afterEach, describe, expect, test } from "vitest";

import { answer, gate, isRealCluster, quote, run, useStage, whenLogged } from "./stage.js";

const stage = useStage();
afterEach(async () => void (isRealCluster || (await stage.local.clearFaults())));

/** One line of opencode. */
function line(type: string, part: object): string {
  return `printf '%s\\n' ${quote(JSON.stringify({ type, timestamp: 1, sessionID: "ses_1", part }))}`;
}

const tool = (name: string): string =>
  line("tool_use", { type: "tool", tool: name, callID: "c", state: { status: "completed", input: {}, output: "x" } });
const words = (text: string): string => line("text", { id: "p", messageID: "m", type: "text", text });

interface Update {
  phase: string;
  message: string;
  currentToolName: string | null;
  lastAssistantSnippet: string | null;
  lastEventAt: Date;
}

describe("live progress", () => {
  test("tell where the run is, its tool and its last words, at most once a second, and the last state", async () => {
    const updates: Update[] = [];
    const events: { eventType: string; level: string; message: string; payload: Record<string, unknown> }[] = [];
    // The agent goes on when the host knows what it did last.
    const [used, said] = [gate(stage), gate(stage)];
    const program = [
      tool("bash"),
      used.wait,
      words("I saw /home/alice/x,\n\u001b[1mtoken secret-of-the-run"),
      said.wait,
      answer("Done."),
    ].join("\n");
    const started = performance.now();
    const { result, stdout } = await run(program, {
      authToken: "secret-of-the-run",
      onRuntimeProgress: async (update: Update) => {
        updates.push(update);
        if (update.message === "Using bash") used.open();
        if (update.message.startsWith("I saw")) said.open();
      },
      onEvent: async (event: never) => void events.push(event),
    });
    expect(result.exitCode, result.errorMessage ?? "").toBe(0);
    // Each comes a second after the one before it, however late it is seen.
    expect(updates.length - 1).toBeLessThanOrEqual((performance.now() - started) / 1000);
    for (const { phase, message, lastEventAt } of updates) {
      expect(["adapter_startup", "finalize"]).toContain(phase);
      expect(message).toMatch(/^[^\p{Cc}]{1,180}$/u);
      expect(lastEventAt).toBeInstanceOf(Date);
    }
    const messages = updates.map(({ message }) => message);
    expect(messages[0]).toBe("Preparing the run");
    expect(messages).toContain("Using bash");
    expect(messages).toContain("I saw /home/a****/x, token ***");
    expect(updates.find(({ message }) => message === "Using bash")?.currentToolName).toBe("bash");
    expect(updates.at(-1)).toMatchObject({
      phase: "finalize",
      message: "Cleaning up",
      currentToolName: null,
      lastAssistantSnippet: null,
    });
    expect(JSON.stringify(updates)).not.toContain("secret-of-the-run");

    const job = /Created K8s Job: (\S+)/.exec(stdout)?.[1];
    const timings = events.filter(({ eventType }) => eventType === "run.phase.timing");
    const parts = timings.map(({ payload: { phase, durationMs, outcome } }) => [phase, typeof durationMs, outcome]);
    const named = ["create_runtime", "turn", "sync_back", "end_session"];
    expect(parts).toEqual(named.map((phase) => [phase, "number", "ok"]));
    expect(events.filter((event) => !timings.includes(event)).map(({ eventType }) => eventType)).toEqual([
      "opencode_k8s.job",
      "opencode_k8s.pod",
      "opencode_k8s.log",
    ]);
    const [created, placed, read] = events.filter((event) => !timings.includes(event));
    expect(created).toMatchObject({ level: "info", message: expect.stringContaining(job!), payload: { job } });
    expect(placed?.payload).toMatchObject({ job, pod: expect.stringContaining(job!), node: expect.any(String) });
    expect(read).toMatchObject({ level: "info", message: `Log of ${job} is proven` });
  });

  const broken: [what: string, callback: () => unknown][] = [
    [
      "throws",
      () => {
        throw new Error("no page");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no page"))],
    ["never answers", () => new Promise(() => {})],
    ["returns nothing", () => undefined],
  ];
  test.each(broken)("a callback that %s holds no line back", async (_what, callback) => {
    let progress = 0;
    const { wait, open } = gate(stage);
    const { result, lines, stderr } = await run(`echo tick; ${wait}; echo tock; ${answer("on time")}`, {
      onRuntimeProgress: () => {
        progress++;
        return callback();
      },
      onEvent: () => callback(),
      onLog: whenLogged("tick\n", open),
    });
    expect(result).toMatchObject({ exitCode: 0, summary: "on time" });
    expect(lines.slice(0, 2)).toEqual(["tick", "tock"]);
    expect(progress).toBeGreaterThan(0);
    expect(stderr).not.toContain("callback");
  });
});

describe("a run for this host", () => {
  test("says that it dispatches once, and right before its Job is created", async () => {
    const order: string[] = [];
    if (!isRealCluster) await stage.local.resetRequests();
    const { result } = await run(answer("sent"), {
      onMeta: async () => void order.push("meta"),
      onDispatch: async () => {
        const created = isRealCluster ? 0 : ((await stage.local.requests())["create jobs"] ?? 0);
        order.push(`dispatch after ${created} Jobs`);
      },
      onLog: async (_stream: string, chunk: string) =>
        void (chunk.includes("Created K8s Job") && order.push("created")),
    });
    expect(result.exitCode).toBe(0);
    expect(order).toEqual(["meta", "dispatch after 0 Jobs", "created"]);
  });

  test("gets the host's tools by its environment, and their token is shown to nobody", async () => {
    const runtimeTools = {
      version: 1,
      guidance: "Use $TOOLS well",
      mcpEndpoint: "http://paperclip/mcp",
      rest: { connectionsSearch: "http://paperclip/search", connectionRequest: "http://paperclip/request" },
      bearerToken: "token-of-the-tools",
      expiresAt: "2027-01-01T00:00:00Z",
      tools: ["connections_search", "connection_request"],
    };
    const sent: unknown[] = [];
    let meta: object | undefined;
    const isToken = '[ "$PAPERCLIP_RUNTIME_TOOLS_TOKEN" = token-of-the-tools ]';
    const isGuidance = `[ "$PAPERCLIP_RUNTIME_TOOLS_GUIDANCE" = 'Use $TOOLS well' ]`;
    const program = `if ${isToken} && ${isGuidance}; then ${answer("has tools")}; else ${answer("has none")}; fi`;
    // The program itself names the token; everything but the prompt is looked at.
    const { result, log } = await run(program, {
      runtimeTools,
      context: { paperclipRuntimeTools: runtimeTools, note: "kept" },
      onMeta: async ({ prompt: _prompt, ...rest }: Record<string, unknown>) => {
        meta = rest;
      },
      onEvent: async (event: unknown) => void sent.push(event),
      onRuntimeProgress: async (update: unknown) => void sent.push(update),
    });
    expect(result.summary).toBe("buildRuntimeToolsEnv" in serverUtils ? "has tools" : "has none");
    expect(meta).toMatchObject({ context: { note: "kept" } });
    expect(JSON.stringify([log, sent, meta, result])).not.toContain("token-of-the-tools");
  });

  /** As Paperclip 2026.916.1 writes it into the agent's env for a company with a GitHub connection. */
  test("leaves the server's own places out of the pod", async () => {
    const launchers = "/tmp/paperclip-github-runtime/run-1";
    const places = {
      TMPDIR: "/tmp/paperclip-run-1",
      TMP: "/tmp/paperclip-run-1",
      TEMP: "/tmp/paperclip-run-1",
      PAPERCLIP_RUN_SCRATCH_DIR: "/tmp/paperclip-run-1",
      PAPERCLIP_TASK_SCRATCH_DIR: "/tmp/paperclip-run-1",
      PAPERCLIP_SCRATCH_DIR: "/tmp/paperclip-run-1",
      PAPERCLIP_TMPDIR: "/tmp/paperclip-run-1",
      GH_CONFIG_DIR: `${launchers}/gh-config`,
      ZDOTDIR: launchers,
      BASH_ENV: `${launchers}/.bashrc`,
      SSH_AUTH_SOCK: "/tmp/ssh-agent.1",
      PAPERCLIP_GITHUB_LAUNCHER_DIR: launchers,
      PAPERCLIP_GITHUB_HOST_HOME: "/root",
      PAPERCLIP_GITHUB_AUTH_MODE: "managed",
      PAPERCLIP_GIT_METADATA_ROOTS: '["/srv/repo/.git"]',
      PAPERCLIP_RUNNER_NETWORK_ACCESS: "enabled",
      PAPERCLIP_RUNNER_NETWORK_ROOTS: '["/etc/hosts"]',
    };
    // Older hosts have no such rule.
    const forbidden = "isForbiddenConfigEnvKey" in serverUtils ? { PAPERCLIP_API_KEY: "from-the-agents-config" } : {};
    const path = "/paperclip/test-bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const { result, lines } = await run(
      `env; [ "$PAPERCLIP_API_KEY" = of-the-run ] && echo KEY=whole; ${answer("seen")}`,
      {
        authToken: "of-the-run",
        config: { env: { ...places, ...forbidden, PATH: `${launchers}:${path}`, OWN: "kept" } },
      },
    );
    expect(result.exitCode, result.errorMessage ?? "").toBe(0);
    const env = new Map(
      lines
        .filter((entry) => entry.includes("="))
        .map((entry) => [entry.split("=")[0]!, entry.slice(entry.indexOf("=") + 1)]),
    );
    expect(env.get("OWN")).toBe("kept");
    // The stand-in has no mount at /paperclip, and writes its own folder there.
    expect(env.get("PATH")?.split(":").slice(1)).toEqual(path.split(":").slice(1));
    expect(env.get("PATH")).toMatch(/^[^:]*\/test-bin:/);
    expect(env.get("KEY")).toBe("whole");
    expect(env.get("PAPERCLIP_API_KEY")).toBe("***");
    for (const [name, value] of Object.entries(places)) expect([name, env.get(name)]).not.toEqual([name, value]);
    expect([...env.values()].join("\n")).not.toContain("paperclip-github-runtime");
  });

  test.each([
    ["the setting says so", { agentDbMode: "ephemeral" }, { issueId: "task-1" }],
    ["it has no task", {}, {}],
  ])("resumes no session that ended with its pod: %s", async (_why, config, context) => {
    const runtime = { sessionId: "ses_0", sessionParams: { sessionId: "ses_0", cwd: "/paperclip" } };
    const args: unknown[] = [];
    const onMeta = async (meta: { commandArgs: unknown }) => void args.push(meta.commandArgs);
    const { result, stdout } = await run(answer("afresh"), { config, context, runtime, onMeta });
    expect(result).toMatchObject({ exitCode: 0, errorMessage: null, sessionId: "ses_1" });
    expect(args).toEqual([["run", "--format", "json"]]);
    expect(stdout).toContain("Session ses_0 was not kept");
  });

  test("gets whole lines in few calls", async () => {
    const chunks: string[] = [];
    const { result } = await run(
      // Printed at once: how many calls it takes is not a matter of how slowly they come.
      `lines=$(i=0; while [ $i -lt 3000 ]; do printf '%0100d\\n' $i; i=$((i+1)); done)
printf '%s\\n' "$lines"
${answer("all")}`,
      {
        onLog: async (stream: string, chunk: string) => void (stream === "stdout" && chunks.push(chunk)),
      },
    );
    expect(result).toMatchObject({ exitCode: 0, usageBasis: "per_run" });
    for (const chunk of chunks) expect(chunk.endsWith("\n") && Buffer.byteLength(chunk) <= 8192).toBe(true);
    expect(chunks.join("").match(/^0\d{99}$/gm)).toHaveLength(3000);
    expect(chunks.length).toBeLessThan(300);
  });
});

describe.skipIf(isRealCluster)("a repetition by the host", () => {
  const bootstrap = { kind: "bootstrap", providerWorkStarted: false };
  const cases: [what: string, fault: object, config: object][] = [
    ["is offered when the Job was refused", { kind: "status", code: 403, verb: "create", resource: "jobs" }, {}],
    ["is offered when no node took the pod", { kind: "unschedulable" }, { scheduleTimeoutSec: 1 }],
    ["is offered when the image cannot be had", { kind: "image-pull" }, {}],
    [
      "is offered when the running Jobs cannot be listed",
      { kind: "status", code: 403, verb: "list", resource: "jobs" },
      {},
    ],
  ];
  test.each(cases)("%s", async (_what, fault, config) => {
    await stage.local.fault(fault as never);
    const { result } = await run(answer("never said"), { config });
    expect(result.errorMessage).toBeTruthy();
    expect(result.executionRecovery).toEqual(bootstrap);
  });

  test("is offered when somebody deletes the pod before its agent ran", async () => {
    await stage.local.fault({ kind: "waiting", reason: "ContainerCreating", count: 1 });
    const remove = async (): Promise<void> => {
      const pods = await stage.local.list("pods", { labelSelector: "paperclip.io/adapter-type=opencode_k8s" });
      for (const pod of pods) await stage.local.delete("pods", pod.metadata.name);
    };
    const { result } = await run(answer("never said"), { onLog: whenLogged("phase=Pending", remove) });
    expect(result, JSON.stringify(result)).toMatchObject({
      errorCode: "k8s_pod_schedule_failed",
      errorMessage: expect.stringMatching(/^Pod deleted before its start/),
    });
    // An older controller makes another pod, which may be on its way.
    if (process.env["LOCAL_CLUSTER_ORDER"] === "current") expect(result.executionRecovery).toEqual(bootstrap);
  });

  test.each([
    ["the agent was killed", { kind: "oom" }],
    ["the pod was evicted in mid-run", { kind: "evict", mode: "node-pressure" }],
  ])("is not offered when %s", async (_what, fault) => {
    const onLog = whenLogged(["started\n", "Pod running"], () => stage.local.fault(fault as never));
    const { result } = await run("echo started; sleep 3600", { onLog });
    expect(result.errorMessage).toBeTruthy();
    expect(result.executionRecovery).toBeUndefined();
  });

  test.each([
    ["tolerations that nobody can read", { tolerations: "{{{" }, "k8s_config_invalid"],
    ["no storage class", { agentDbMode: "dedicated_pvc" }, "k8s_job_create_failed"],
  ])("is not offered for a mistake that no repetition mends: %s", async (_what, config, code) => {
    const { result } = await run(answer("never"), { config });
    expect(result).toMatchObject({ errorCode: code });
    expect(result.executionRecovery).toBeUndefined();
  });
});
