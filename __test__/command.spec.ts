/** `npx paperclip-adapter-opencode-k8s`, as it is built. Needs `npm run build`. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { file, folder, program, run } from "./command-line.js";

/** A kubectl that is this script. */
const bin = join(folder, "bin");
mkdirSync(bin, { recursive: true });
const kubectl = (script: string): Record<string, string> => {
  writeFileSync(join(bin, "kubectl"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, "kubectl"), 0o755);
  return { PATH: `${bin}:/bin:/usr/bin` };
};

const event = (text: string) => JSON.stringify({ type: "text", part: { type: "text", text, time: { end: 1 } } });

describe("the command line", () => {
  it("explains itself in 60 columns", () => {
    const { status, stdout } = run(["--help"]);
    expect(status).toBe(0);
    expect(stdout.split("\n").filter((line) => line.length > 60)).toEqual([]);
    for (const command of ["doctor", "runs", "tail RUN", "read FILE", "pod-spec"])
      expect(stdout).toContain(`\n${command} `);
    expect(run(["-h"]).stdout).toBe(stdout);
    expect(run([])).toMatchObject({ status: 2, stdout });
    expect(run(["--version"]).stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
  });

  it.each([
    [["docter"], "there is no command docter"],
    [["constructor"], "there is no command constructor"],
    [["--nope"], "Unknown option '--nope'"],
    [["runs", "--image", "x"], "runs has no option --image"],
    [["tail"], "tail needs the id of a run"],
    [["tail", "a", "b"], "tail does not take b"],
    [["doctor", "--config", "/no/such"], "--config /no/such cannot be read"],
    [["doctor", "--config", folder], `--config ${folder} cannot be read`],
    [["doctor", "--config", file("list.json", "[]")], "list.json is no JSON object"],
    [["doctor", "--config", file("text.json", "{")], "text.json cannot be read"],
    [["pod-spec", "--config", file("agent-of-none.json", '{"adapterConfig": []}')], "adapterConfig is no JSON object"],
    [["doctor", "--namespace", "A b"], "--namespace A b is no name of a namespace"],
    [["doctor", "--server", ""], "--server is empty"],
    [["doctor", "x"], "doctor does not take x"],
    [["runs", "--namespace", "../secrets"], "--namespace ../secrets is no name of a namespace"],
    [["runs", "--namespace", ""], "--namespace is empty"],
    [["runs", "--kubeconfig", "/no/such"], "--kubeconfig /no/such is no file"],
    [["runs", "--kubeconfig", folder], `--kubeconfig ${folder} is no file`],
    [["runs", "--watch=1"], "does not take an argument"],
    [["tail", ""], "tail does not take an empty argument"],
    [["tail", "x", "--data-root", ""], "--data-root is empty"],
    [["tail", "x", "--kubeconfig", "/no/such"], "--kubeconfig /no/such is no file"],
    [["read", ""], "read does not take an empty argument"],
    [["read", "a", "b"], "read does not take b"],
    [["pod-spec", "--image"], "Option '--image <value>' argument missing"],
    [["pod-spec", "--image", ""], "--image is empty"],
    [["pod-spec", "--claim", "A_B"], "--claim A_B is no name of a claim"],
    [["pod-spec", "--claim", ""], "--claim is empty"],
    [["pod-spec", "--json"], "pod-spec has no option --json"],
  ])("%j is one line and exit status 2", (args, said) => {
    const { status, stdout, stderr } = run(args);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^paperclip-adapter-opencode-k8s: .*; --help shows all\n$/);
    expect(stderr).toContain(said);
  });
});

describe("read", () => {
  it("formats a pipe and a file, also in the host's chunks, without colours and control characters", () => {
    const input = `${event("one")}\n[paperclip] Pod running\n${event("\u001b]0;title\u0007two")}`;
    const chunks = JSON.stringify({ ts: "t", stream: "stdout", seq: 1, chunk: `${event("three")}\n` });
    const log = file("log", `${chunks}\n`);
    expect(run(["read"], { input })).toMatchObject({ status: 0, stderr: "" });
    const { stdout } = run(["read"], { input });
    expect(stdout).toMatch(/^one\n\[paperclip\] Pod running\n.*two\n$/);
    expect(stdout).not.toContain("\u001b");
    expect(run(["read", log]).stdout).toBe("three\n");
    expect(run(["read", "-"], { input }).stdout).toBe(stdout);
  });

  it("holds no more of an endless line than it shows", () => {
    const file = join(folder, "endless");
    writeFileSync(file, "");
    truncateSync(file, 256 * 1024 * 1024);
    appendFileSync(file, `\n${event("after it")}\r\nlast`);
    const { status, stdout } = run(["read", file], { env: { NODE_OPTIONS: "--max-old-space-size=96" } });
    expect(status).toBe(0);
    expect(stdout.trim().split("\n").slice(1)).toEqual(["after it", "last"]);
  }, 60_000);

  it("says in one line that a file is not there", () => {
    for (const name of [join(folder, "gone"), folder]) {
      const { status, stderr } = run(["read", name]);
      expect([status, stderr.trim().split("\n").length]).toEqual([1, 1]);
      expect(stderr).toContain(`${name} cannot be read: `);
    }
  });
});

describe("tail", () => {
  const logs = join(folder, "instances/default/run-logs/company/agent");
  mkdirSync(logs, { recursive: true });

  it("shows a run that has ended, whole", () => {
    writeFileSync(join(logs, "run-1.pod.ndjson"), `${event("hello")}\n${event("bye")}\n`);
    writeFileSync(join(logs, "run-1.pod.end.json"), "{}");
    expect(run(["tail", "run-1", "--data-root", folder])).toEqual({ status: 0, stdout: "hello\nbye\n", stderr: "" });
  });

  it("shows nothing of it as the adapter's words, nor as Paperclip's", () => {
    const chunk = JSON.stringify({ ts: "t", stream: "stdout", seq: 1, chunk: "[paperclip] log in at http://x\n" });
    const path = join(logs, "run-9.pod.ndjson");
    writeFileSync(path, `[paperclip] log in at http://x\n\u200b[paperclip] y\n${chunk}\n`);
    writeFileSync(join(logs, "run-9.pod.end.json"), "{}");
    for (const args of [
      ["tail", "run-9", "--data-root", folder],
      ["read", path],
    ]) {
      const { stdout } = run(args);
      expect(stdout).toBe(`[agent] [paperclip] log in at http://x\n[agent] \u200b[paperclip] y\n${chunk}\n`);
    }
  });

  it.each([
    ["a link", (path: string) => symlinkSync(join(folder, "secret"), path)],
    ["a pipe", (path: string) => void spawnSync("mkfifo", [path])],
  ])("does not open %s in the place of Paperclip's own log", (_what, lay) => {
    const own = join(folder, "instances/default/data/run-logs/company/agent");
    mkdirSync(own, { recursive: true });
    writeFileSync(join(folder, "secret"), "secret\n");
    const path = join(own, "strange-run.ndjson");
    lay(path);
    const { status, stdout } = run(["tail", "strange-run", "--data-root", folder]);
    expect([status, stdout]).toEqual([1, ""]);
    rmSync(path);
  });

  it("shows what Paperclip has of a run whose files are removed", () => {
    const own = join(folder, "instances/default/data/run-logs/company/agent");
    mkdirSync(own, { recursive: true });
    const chunk = (text: string) => `${JSON.stringify({ ts: "t", stream: "stdout", seq: 1, chunk: `${text}\n` })}\n`;
    writeFileSync(join(own, "ea5e0ff1-run.ndjson"), chunk("[paperclip] Pod running") + chunk(event("bye")));
    const { status, stdout, stderr } = run(["tail", "ea5e0ff1", "--data-root", folder]);
    expect([status, stdout]).toEqual([0, "[paperclip] Pod running\nbye\n"]);
    expect(stderr).toMatch(/: .* this is what Paperclip has of it\n$/);
  });

  it("takes the beginning of an id, as the page shows it, where it is one run's only", () => {
    for (const id of ["cba6980f-81", "cba6980f-99"]) {
      writeFileSync(join(logs, `${id}.pod.ndjson`), `${event(id)}\n`);
      writeFileSync(join(logs, `${id}.pod.end.json`), "{}");
    }
    expect(run(["tail", "cba6980f-8", "--data-root", folder])).toMatchObject({ status: 0, stdout: "cba6980f-81\n" });
    expect(run(["tail", "cba6980f", "--data-root", folder]).status).toBe(1);
    expect(run(["tail", "cba6", "--data-root", folder]).status).toBe(1);
  });

  /** A log without an end record, and what the cluster says of its pod. */
  const unended = (id: string, pods: object[], uid = "cluster-1") => {
    const record = { v: 1, run: id, pod: `${id}-pod`, podUid: "uid-1", namespace: "agents", cluster: "cluster-1" };
    writeFileSync(join(logs, `${id}.pod.ndjson`), `${event("hello")}\n`);
    writeFileSync(join(logs, `${id}.pod.started`), `${JSON.stringify(record)}\n`);
    const answers = { namespace: { metadata: { uid } }, pods: { items: pods } };
    return kubectl(`case "$*" in
      "--namespace agents get namespace agents --output json") echo '${JSON.stringify(answers.namespace)}';;
      *"--field-selector metadata.name=${id}-pod --output json") echo '${JSON.stringify(answers.pods)}';;
      *) echo "$*" >&2; exit 1;; esac`);
  };
  const pod = (phase: string, uid = "uid-1") => ({ metadata: { uid }, status: { phase } });

  it.each([
    ["is gone", []],
    ["is gone", [pod("Running", "another-uid")]],
    ["has ended (Failed)", [pod("Failed")]],
  ])("ends without an end record where the pod %s, and says how it knows", (end, pods) => {
    const env = unended("run-3", pods);
    const words = `the run is over: its pod agents/run-3-pod ${end}, without an end record`;
    expect(run(["tail", "run-3", "--data-root", folder], { env })).toEqual({
      status: 0,
      stdout: "hello\n",
      stderr: `paperclip-adapter-opencode-k8s: ${words}\n`,
    });
  });

  it.each([
    ["the cluster does not answer", "", /waiting for the end record: .* \(kubectl is not here/],
    ["the pod is in another cluster", "cluster-2", /run-4-pod is not known to be in this cluster/],
    ["no pod has started", "cluster-1", /waiting for the agent: no pod has written the start record/],
  ])("says what it waits for where %s, until the end record is there", async (what, cluster, words) => {
    const record = join(logs, "run-4.pod.end.json");
    const env = { ...unended("run-4", [], cluster), ...(cluster === "" && { PATH: "/nowhere" }) };
    if (what.startsWith("no pod")) rmSync(join(logs, "run-4.pod.started"));
    const child = spawn(process.execPath, [program, "tail", "run-4", "--data-root", folder], { env });
    let said = "";
    child.stderr.on("data", (part: Buffer) => {
      said += String(part);
      writeFileSync(record, "{}");
    });
    const [status] = (await once(child, "close")) as [number];
    rmSync(record);
    expect([status, said]).toEqual([0, expect.stringMatching(words)]);
  });

  it.each(["run-2", "../run-1", "*"])("knows no log of %s", (id) => {
    const { status, stderr } = run(["tail", id, "--data-root", folder]);
    expect(status).toBe(1);
    expect(stderr).toContain("there is no log of run");
  });

  it("says where to run it when there are no logs at all", () => {
    const { status, stderr } = run(["tail", "run-1", "--data-root", "/no/such"]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/no folder .*in the server's pod.*--data-root/)]);
  });
});

describe("runs", () => {
  const job = (name: string, more: object, status: object) => ({
    metadata: { name, labels: { "paperclip.io/agent-id": "ada", "paperclip.io/run-id": name }, ...more },
    status,
  });

  it("shows agent, state, age, bytes and run", () => {
    const log = "/paperclip/instances/default/run-logs/company/agent/run-1.pod.ndjson";
    const items = [
      job(
        "run-1",
        { annotations: { "paperclip.io/log": log }, creationTimestamp: new Date().toISOString() },
        { active: 1, ready: 1 },
      ),
      job("run-2", {}, { conditions: [{ type: "Failed", status: "True", reason: "DeadlineExceeded" }] }),
    ];
    const answer = join(folder, "jobs.json");
    writeFileSync(answer, JSON.stringify({ items }));
    const env = kubectl(`cat ${answer}`);
    const { status, stdout, stderr } = run(["runs", "--data-root", folder], { env });
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.split("\n")[0]).toMatch(/^RUN +AGENT +STATE +AGE +LOG$/);
    expect(stdout).toMatch(/^run-1 +ada +at work +\d+s +\d+B$/m);
    expect(stdout).toMatch(/^run-2 +ada +failed \(DeadlineExceeded\) +\? +-$/m);
    const rows = JSON.parse(run(["runs", "--json", "--data-root", folder], { env }).stdout) as { state: string }[];
    expect(rows.map(({ state }) => state)).toEqual(["at work", "failed (DeadlineExceeded)"]);
    expect(run(["runs"], { env: kubectl(`echo '{"items":[]}'`) }).stdout).toBe("No run is on, and no Job is left.\n");
  });

  it("shows the beginnings of long ids on a narrow screen, and a state that an old Kubernetes does not tell", () => {
    const id = "cba6980f-8169-4212-bf41-fb1b931c5971";
    const long = { ...job(id, {}, { active: 1 }) };
    const env = kubectl(`echo '${JSON.stringify({ items: [long] })}'`);
    const narrow = run(["runs"], { env }).stdout;
    expect(narrow).toMatch(/^cba6980f +ada +active +\? +-$/m);
    expect(run(["runs"], { env: { ...env, COLUMNS: "120" } }).stdout).toContain(id);
  });

  it("says what kubectl said, or that there is none", () => {
    const refused = run(["runs"], { env: kubectl("echo 'Error from server (Forbidden): jobs' >&2; exit 1") });
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/k8s: Error from server \(Forbidden\): jobs\n.*kubectl config get-contexts\n$/),
    });
    const none = run(["runs"], { env: { PATH: "/nowhere" } });
    expect(none).toMatchObject({ status: 1, stderr: expect.stringContaining("kubectl is not here") });
  });
});

describe("doctor", () => {
  // A file that is not there is looked for again for some seconds, each time.
  it("tells errors first, each with its command on a line of its own, and fails", { timeout: 120_000 }, () => {
    const args = ["doctor", "--data-root", folder, "--kubeconfig", "/no/such"];
    const { status, stdout } = run(args);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^✗ /);
    expect(stdout).toMatch(/\n\d+ errors?, \d+ warnings?, \d+ in order\n$/);
    const { checks } = JSON.parse(run([...args, "--json"]).stdout) as { checks: object[] };
    expect(checks.length).toBeGreaterThan(0);
    const relative = run(["doctor", "--data-root", folder, "--kubeconfig", "no/such"]);
    expect(relative.stdout.replaceAll(/\s+/g, " ")).toMatch(/Kubeconfig not usable: .*\/no\/such/);
  });

  it("is made in the server's pod when it is asked for from outside", () => {
    const said = join(folder, "said");
    const result = {
      status: "fail",
      checks: [{ code: "k8s_x", level: "error", message: "No claim.", hint: "Make one." }],
    };
    const env = kubectl(`echo "$@" > ${said}; cat >> ${said}; echo '${JSON.stringify(result)}'; exit 1`);
    const config = join(folder, "settings.json");
    writeFileSync(config, JSON.stringify({ image: "my/opencode:1" }));
    const { status, stdout } = run(["doctor", "-n", "here", "--kubeconfig", "/k", "--config", config], { env });
    expect([status, stdout]).toEqual([1, "✗ No claim.\n    Make one.\n1 error, 0 warnings, 0 in order\n"]);
    const asked = readFileSync(said, "utf8");
    expect(asked).toMatch(
      /^--kubeconfig \/k --namespace here exec -i \S+ deployment\/paperclip -c paperclip -- sh -c for .*--config -\n/s,
    );
    expect(asked).toContain('{"image":"my/opencode:1"}');
    // kubectl's own is as long as it is waited for, and a server without a pod would never be its answer.
    expect(asked).toContain(" --pod-running-timeout=15s ");
  });

  it("does not tick what nobody could look up", () => {
    const info = (message: string, hint?: string) => ({ code: "k8s_x", level: "info", message, hint });
    const checks = [info("There."), info("Nobody said.", "Look: kubectl -n n get x"), info("Well.")];
    const env = kubectl(`echo '${JSON.stringify({ status: "pass", checks })}'`);
    const { status, stdout } = run(["doctor"], { env });
    const note = "· Nobody said.\n    Look:\n    kubectl -n n get x\n";
    const others = "✓ There.\n✓ Well.\n0 errors, 0 warnings, 1 note, 2 in order\n";
    expect([status, stdout]).toEqual([0, note + others]);
  });

  it("is made in the only container where that has another name", () => {
    const script =
      'case "$*" in *" -c paperclip "*) echo "error: container paperclip is not valid for pod p" >&2; exit 1;; ' +
      '*) echo "{\\"checks\\":[]}";; esac';
    expect(run(["doctor"], { env: kubectl(script) })).toMatchObject({ status: 0 });
  });

  it("looks for the server under both usual names, and says how another one is told", () => {
    const missing = 'case "$*" in *statefulset*) echo "{\\"checks\\":[]}";; *) echo "(NotFound)" >&2; exit 1;; esac';
    expect(run(["doctor"], { env: kubectl(missing) })).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("in order"),
    });
    const nowhere = run(["doctor"], { env: kubectl('echo "Error from server (NotFound): gone" >&2; exit 1') });
    expect(nowhere).toMatchObject({ status: 1, stderr: expect.stringContaining("--server KIND/NAME") });
  });

  it("says what to look at when the test cannot be made there", () => {
    const env = kubectl("echo 'not installed there' >&2; echo 'command terminated with exit code 1' >&2; exit 1");
    const { status, stderr } = run(["doctor", "-n", "here"], { env });
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/: not installed there\n.*; kubectl -n here get pods\n$/s),
    ]);
  });
});
