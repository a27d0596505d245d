import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { getConfigSchema } from "../../adapter/settings/config-schema.js";
import { agentConfigurationDoc } from "../../adapter/settings/doc.js";
import { readServerEnvironment } from "../../adapter/host/environment.js";
import { createListModels, models, outputOf, parseModelList } from "../../adapter/settings/models.js";

describe("models", () => {
  it("has a static list", () => {
    expect(models.length).toBeGreaterThan(0);
  });

  it("reads ids and skips remarks, colours and blank lines", () => {
    const output =
      "loading…\n\nanthropic/claude-sonnet-4-6\r\nopenrouter/meta/llama-3\nopenrouter/meta/llama-3\n\u001b[1mError\n";
    expect(parseModelList(output)).toEqual([
      { id: "anthropic/claude-sonnet-4-6", label: "Claude Sonnet 4.6" },
      { id: "openrouter/meta/llama-3", label: "openrouter/meta/llama-3" },
    ]);
  });

  it("asks opencode once a minute and falls back to the static list", async () => {
    let now = 0;
    const answers: (() => Promise<string>)[] = [
      () => Promise.reject(new Error("no opencode")),
      () => Promise.resolve("nothing useful"),
      () => Promise.resolve("a/b\n"),
    ];
    let calls = 0;
    const list = createListModels(
      () => (answers[calls++] ?? answers[2])!(),
      () => now,
    );
    expect(await list()).toEqual(models);
    now = 59_999;
    await list();
    expect(calls).toBe(1);
    now = 60_000;
    expect(await list()).toEqual(models);
    now = 120_000;
    const [one, two] = await Promise.all([list(), list()]);
    expect(one).toEqual([{ id: "a/b", label: "a/b" }]);
    expect(two).toBe(one);
    expect(calls).toBe(3);
  });
});

describe("the command that lists models", () => {
  it("is read, and ended when it hangs, also when a child of it keeps its output open", async () => {
    expect(await outputOf("sh", ["-c", "echo a/b"])).toBe("a/b\n");
    const folder = mkdtempSync(join(tmpdir(), "models-"));
    // Both sleep for longer than the test may take.
    const hangs = `sleep 900 & echo $! >${folder}/child; sleep 900`;
    await expect(outputOf("sh", ["-c", hangs], 2_000)).rejects.toThrow();
    const child = join(folder, "child");
    if (existsSync(child)) process.kill(Number(readFileSync(child, "utf8")));
    rmSync(folder, { recursive: true });
    await expect(outputOf("no-such-command-anywhere", [])).rejects.toThrow(/ENOENT/);
    await expect(outputOf("sh", ["-c", "exit 3"])).rejects.toThrow();
  });
});

describe("the configuration schema", () => {
  const { fields } = getConfigSchema();
  const shape = Object.fromEntries(fields.map((field) => [field.key, [field.type, field.default]]));

  it("keeps the keys, types and defaults of the adapter it replaces", () => {
    expect(shape).toMatchObject({
      variant: ["text", undefined],
      instructionsFilePath: ["text", undefined],
      dangerouslySkipPermissions: ["toggle", true],
      agentDbMode: ["select", undefined],
      agentDbStorageClass: ["text", undefined],
      agentDbStorageCapacity: ["text", "1Gi"],
      namespace: ["text", undefined],
      image: ["text", undefined],
      imagePullPolicy: ["select", "IfNotPresent"],
      kubeconfig: ["text", undefined],
      serviceAccountName: ["text", undefined],
      "resources.requests.cpu": ["text", undefined],
      "resources.requests.memory": ["text", undefined],
      "resources.limits.cpu": ["text", undefined],
      "resources.limits.memory": ["text", undefined],
      nodeSelector: ["textarea", undefined],
      tolerations: ["textarea", undefined],
      labels: ["textarea", undefined],
      ttlSecondsAfterFinished: ["number", 300],
      retainJobs: ["toggle", undefined],
      reattachOrphanedJobs: ["toggle", true],
    });
  });

  it("shows times and sizes with their units, and an unset choice as automatic", () => {
    expect(shape).toMatchObject({ startTimeoutSec: ["text", "10m"], maxLogBytes: ["text", "2Gi"] });
    const mode = fields.find(({ key }) => key === "agentDbMode");
    expect(mode?.options?.[0]).toEqual({ value: "", label: "Automatic" });
    expect(fields.find(({ key }) => key === "agentDbStorageClass")?.meta).toEqual({
      visibleWhen: { key: "agentDbMode", values: ["", "dedicated_pvc"] },
    });
  });

  it("hides what has no meaning, in the form that the page reads", () => {
    // The page: a key of the schema, and `value`, `values` or `notValues` of texts. Anything else counts as visible.
    const keys = fields.map(({ key }) => key);
    for (const { key, meta } of fields) {
      const when = meta?.["visibleWhen"] as { key: string; values?: string[]; notValues?: string[] } | undefined;
      if (when === undefined) continue;
      expect([key, keys.includes(when.key)]).toEqual([key, true]);
      expect([key, [...(when.values ?? []), ...(when.notValues ?? [])].every((value) => typeof value === "string")]) //
        .toEqual([key, true]);
    }
    const whenOf = (key: string) => fields.find((field) => field.key === key)?.meta?.["visibleWhen"];
    expect(whenOf("graceSec")).toEqual({ key: "timeoutSec", notValues: ["", "0"] });
    expect(whenOf("ttlSecondsAfterFinished")).toEqual({ key: "retainJobs", values: ["false"] });
  });

  it("has its fields in the order of use, and labels that differ in more than one word", () => {
    const keys = fields.map(({ key }) => key);
    const inOrder = ["image", "namespace", "serviceAccountName", "resources.requests.cpu", "agentDbMode", "variant"];
    expect(keys.filter((key) => inOrder.includes(key))).toEqual(inOrder);
    expect(keys.slice(-3)).toEqual(["retainJobs", "ttlSecondsAfterFinished", "logRetentionSec"]);
    const words = (text: string) => new Set(text.toLowerCase().match(/\w+/g));
    for (const [at, one] of fields.entries()) {
      for (const other of fields.slice(at + 1)) {
        const [a, b] = [words(one.label), words(other.label)];
        const shared = [...a].filter((word) => b.has(word)).length;
        const apart = a.size + b.size - 2 * shared;
        expect([one.label, other.label, shared === 0 || apart > 2]).toEqual([one.label, other.label, true]);
      }
    }
  });

  it("offers the choices there are, and repeats no field of the host but with another default", () => {
    const options = (key: string) => fields.find((field) => field.key === key)?.options?.map(({ value }) => value);
    expect(options("imagePullPolicy")).toEqual(["IfNotPresent", "Always", "Never"]);
    expect(options("agentDbMode")).toEqual(expect.arrayContaining(["dedicated_pvc", "ephemeral", "workspace_subpath"]));
    for (const key of ["model", "env", "extraArgs"]) {
      expect(Object.keys(shape)).not.toContain(key);
    }
    // The page's own field shows 15 s for it.
    expect(shape).toMatchObject({
      graceSec: ["number", 60],
      timeoutSec: ["number", 0],
      promptTemplate: ["textarea", undefined],
    });
    expect(new Set(fields.map(({ group }) => group)).size).toBeGreaterThan(4);
  });

  it("is all in the document", () => {
    for (const { key } of fields) expect(agentConfigurationDoc).toContain(`- ${key}: `);
  });
});

describe("the server's environment", () => {
  it("is what the variables say, without the empty ones", () => {
    expect(
      readServerEnvironment({ HOSTNAME: "pod-1", POD_NAMESPACE: "a", PAPERCLIP_NAMESPACE: " b ", KUBECONFIG: " " }),
    ).toEqual({
      hostname: "pod-1",
      namespace: "b",
    });
    expect(readServerEnvironment({}).hostname).not.toBe("");
    expect(readServerEnvironment({ PAPERCLIP_K8S_DATA_ROOT: "/mnt" })).toMatchObject({ dataRoot: "/mnt" });
  });
});
