/** The process and its client: readiness, options, mount mapping, and the pure rules that need no cluster. */

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startLocalCluster } from "../../local-cluster/client.js";
import { expand } from "../../local-cluster/node/expand.js";
import { mapText } from "../../local-cluster/node/paths.js";
import { canMount } from "../../local-cluster/node/rootfs.js";
import { condition, isRunning, job, nap, pod, processesWith, run } from "./support.js";

const MAIN = join(import.meta.dirname, "../../build/local-cluster.js");

function scratch(): string {
  return mkdtempSync(join(tmpdir(), "local-cluster-spec-"));
}

describe("the process", () => {
  it("says one line, and ends with all its containers when its stdin closes or on TERM", async () => {
    for (const ending of ["stdin", "SIGTERM"] as const) {
      const root = scratch();
      const child = spawn(process.execPath, [MAIN, "--root", root]);
      const line = await new Promise<string>((resolve) => child.stdout.once("data", (chunk) => resolve(String(chunk))));
      const ready = JSON.parse(line);
      expect(ready).toMatchObject({
        url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
        kubeconfig: join(root, "kubeconfig"),
        dataDir: join(root, "data"),
      });
      const create = await fetch(`${ready.url}/apis/batch/v1/namespaces/paperclip/jobs`, {
        method: "POST",
        headers: { authorization: `Bearer ${ready.adminToken}` },
        body: JSON.stringify(job(`exec ${nap(4325)} # ${root}`)),
      });
      expect(create.status).toBe(201);
      await expect.poll(() => processesWith(nap(4325)).length, { interval: 20 }).toBeGreaterThan(0);
      if (ending === "stdin") child.stdin.end();
      else child.kill(ending);
      const [code] = await new Promise<[number | null]>((resolve) => child.once("exit", (status) => resolve([status])));
      expect(code).toBe(0);
      // Killed is not yet gone.
      await expect.poll(() => [...processesWith(nap(4325)), ...processesWith(root)], { interval: 20 }).toEqual([]);
      rmSync(root, { recursive: true });
    }
  });

  it("explains what is wrong with its arguments", async () => {
    const root = scratch();
    const child = spawn(process.execPath, [MAIN, "--root", join(root, "a folder")]);
    let text = "";
    child.stderr.on("data", (chunk) => (text += String(chunk)));
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(2);
    expect(text).toContain("has characters that a shell script would have to quote");
    rmSync(root, { recursive: true });
  });

  it("takes a folder for PATH, a data folder, a namespace and changes of its own pod", async () => {
    const folder = scratch();
    writeFileSync(join(folder, "opencode"), "#!/bin/sh\necho fake opencode in $PWD\n", { mode: 0o755 });
    const ownPod = { spec: { containers: [{ name: "paperclip", env: [{ name: "EXTRA", value: "1" }] }] } };
    const cluster = await startLocalCluster({
      binDir: folder,
      dataDir: join(folder, "shared"),
      namespace: "agents",
      ownPod,
    });
    try {
      expect(cluster.env).toEqual({
        HOSTNAME: "paperclip-0",
        PAPERCLIP_NAMESPACE: "agents",
        KUBECONFIG: cluster.kubeconfig,
      });
      expect(readFileSync(cluster.kubeconfig, "utf8")).toContain(`server: "${cluster.url}"`);
      expect(statSync(cluster.kubeconfig).mode & 0o777).toBe(0o600);
      const own = await cluster.get("pods", cluster.env.HOSTNAME);
      expect(own).toMatchObject({
        status: { phase: "Running" },
        spec: { imagePullSecrets: [{ name: "registry" }], dnsConfig: { options: [{ name: "ndots", value: "2" }] } },
      });
      expect(own.spec.containers[0].env.map(({ name }: any) => name)).toEqual([
        "PAPERCLIP_HOME",
        "PAPERCLIP_API_URL",
        "NODE_ENV",
        "OPENAI_API_KEY",
        "EXTRA",
      ]);
      expect(
        (await cluster.objects("namespaces")).find(({ metadata }) => metadata.name === "agents")!.metadata.uid,
      ).toMatch(/^[0-9a-f-]{36}$/);
      const result = await run(cluster, job("opencode", { container: { workingDir: "/paperclip" } }));
      expect(await cluster.logs(result.pod.metadata.name)).toBe(`fake opencode in ${join(folder, "shared")}\n`);
    } finally {
      await cluster.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

describe("mount mapping", () => {
  it.skipIf(!canMount())("gives exact paths, and touches nothing of the machine", async () => {
    const binDir = scratch();
    writeFileSync(join(binDir, "opencode"), "#!/bin/sh\necho fake opencode\n", { mode: 0o755 });
    const cluster = await startLocalCluster({ mapping: "mount", binDir });
    try {
      expect(cluster.mapping).toBe("mount");
      const script = [
        "pwd; echo said >/dev/stderr; opencode",
        `printf 'cd /paperclip/work && cat /tmp/prompt/p && echo /paperclip > answer' > /tmp/script; sh /tmp/script`,
        "(echo no > /etc/paperclip/files/x) 2>/dev/null || echo read-only",
        "cat /etc/paperclip/files/settings.json; ls /etc/paperclip; ls -d /usr/bin",
        "echo record > /dev/termination-log; exit 4",
      ].join("\n");
      const files = { name: "files", secret: { secretName: "paperclip-files" } };
      const data = { name: "data", persistentVolumeClaim: { claimName: "paperclip-data" } };
      const volumeMounts = [
        { name: "prompt", mountPath: "/tmp/prompt" },
        { name: "data", mountPath: "/paperclip" },
        { name: "files", mountPath: "/etc/paperclip/files", readOnly: true },
      ];
      const shape = {
        init: ["printf asked > /tmp/prompt/p"],
        pod: { volumes: [{ name: "prompt", emptyDir: {} }, data, files] },
        container: { volumeMounts, workingDir: "/paperclip/work" },
      };
      const result = await run(cluster, job(script, shape));
      const log = await cluster.logs(result.pod.metadata.name);
      expect(log).toBe('/paperclip/work\nsaid\nfake opencode\naskedread-only\n{"made": "for tests"}files\n/usr/bin\n');
      expect(result.main).toMatchObject({ exitCode: 4, message: "record\n" });
      expect(readFileSync(join(cluster.dataDir, "work/answer"), "utf8")).toBe("/paperclip\n");
      expect(existsSync("/etc/paperclip/files") || existsSync("/tmp/script")).toBe(false);

      const polite = job("trap 'echo bye >> /paperclip/bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
      await cluster.create("jobs", polite);
      const running = await pod(cluster, polite.metadata.name, isRunning);
      await expect.poll(() => cluster.logs(running.metadata.name), { interval: 20 }).toContain("ready");
      await cluster.delete("jobs", polite.metadata.name);
      await cluster.waitFor("pods", (pods) => !pods.some(({ metadata }) => metadata.uid === running.metadata.uid));
      expect(readFileSync(join(cluster.dataDir, "bye"), "utf8")).toBe("bye\n");
    } finally {
      await cluster.stop();
      rmSync(binDir, { recursive: true });
    }
  });
});

describe("many at once", () => {
  it("runs fifty Jobs to their end", async () => {
    const cluster = await startLocalCluster();
    try {
      const manifests = Array.from({ length: 50 }, () => job("echo x"));
      await Promise.all(manifests.map((manifest) => cluster.create("jobs", manifest)));
      const jobs = await cluster.waitFor(
        "jobs",
        (all) => all.length === 50 && all.every((one) => condition(one as any)),
      );
      expect(new Set(jobs.map((one) => condition(one as any)))).toEqual(new Set(["Complete"]));
    } finally {
      await cluster.stop();
    }
  });
});

describe("rules", () => {
  it("expands references as Kubernetes documents them", () => {
    const value = (name: string): string | undefined => ({ A: "1", B: "$(A)" })[name];
    const cases: Record<string, string> = {
      "$(A)": "1",
      "$$(A)": "$(A)",
      "$$$(A)": "$1",
      $$$$: "$$",
      $A: "$A",
      $: "$",
      "$(NO)": "$(NO)",
      "$(A": "$(A",
      "a$(B)z": "a$(A)z",
      "$(A)$(A)": "11",
    };
    for (const [text, expected] of Object.entries(cases))
      expect(`${text} ${expand(text, value)}`).toBe(`${text} ${expected}`);
  });

  it("maps the longest path, whole path steps, and nothing within other words", () => {
    const paths = new Map([
      ["/a", "/x"],
      ["/a/b", "/y"],
      ["/dev/termination-log", "/t"],
    ]);
    const cases: Record<string, string> = {
      "/a": "/x",
      "/a/c": "/x/c",
      "/a/b": "/y",
      "/a/bc": "/x/bc",
      "/ab": "/ab",
      "/a.": "/x.",
      "/a.b": "/a.b",
      "/a-b": "/a-b",
      "z/a": "z/a",
      "./a": "./a",
      "//a": "//a",
      "'/a'": "'/x'",
      "k=/a:/a/b": "k=/x:/y",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the shell.
      "${HOME}/a": "${HOME}/a",
      ">/dev/termination-log;": ">/t;",
      "(/a)": "(/x)",
    };
    for (const [text, expected] of Object.entries(cases))
      expect(`${text} ${mapText(text, paths)}`).toBe(`${text} ${expected}`);
  });
});
