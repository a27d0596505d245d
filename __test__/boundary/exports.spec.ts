import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { adapter, native } from "./package.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  name: string;
  version: string;
  exports: Record<string, string | Record<string, string>>;
};

/** Loads one entry by name in a fresh process, once by `import()` and once by `require()`. */
function loadBoth(entry: string) {
  const script = `
    import { createRequire } from "node:module";
    const imported = await import(process.argv[1]);
    const required = createRequire(process.cwd() + "/x.js")(process.argv[1]);
    const names = Object.keys(imported).filter((name) => name !== "default" && name !== "module.exports");
    const same = names.every((name) => imported[name] === required[name]);
    console.log(JSON.stringify({ names: names.sort(), same }));`;
  const args = ["--input-type=module", "-e", script, entry];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" })) as {
    names: string[];
    same: boolean;
  };
}

const surface: Record<string, string[]> = {
  ".": [
    "LARGE_PROMPT_THRESHOLD_BYTES",
    "agentConfigurationDoc",
    "buildJobManifest",
    "buildPodLogPath",
    "cliAdapter",
    "createServerAdapter",
    "execute",
    "isOpenCodeStepLimitResult",
    "isOpenCodeUnknownSessionError",
    "label",
    "parseOpenCodeJsonl",
    "parseStdoutLine",
    "resolveOutcome",
    "sanitizeLabelValue",
    "sessionCodec",
    "tailPodLogFile",
    "testEnvironment",
    "type",
  ],
  "./server": ["createServerAdapter", "execute", "sessionCodec", "testEnvironment"],
  "./ui-parser": ["parseStdoutLine"],
  "./cli": ["cliAdapter", "formatLine", "formatStdoutEvent", "parseStdoutLine"],
};

describe("each entry", () => {
  it.each(Object.entries(surface))("%s gives the same functions to import and require", (entry, names) => {
    expect(loadBoth(manifest.name + entry.slice(1))).toEqual({ names, same: true });
  });

  it("./native is the addon, with the functions that its types declare", () => {
    const types = readFileSync(`${root}index.d.ts`, "utf8");
    const declared = Array.from(types.matchAll(/^export declare function (\w+)/gm), ([, name]) => name);
    expect(declared.length).toBeGreaterThan(15);
    expect(loadBoth(`${manifest.name}/native`)).toEqual({ names: declared.sort(), same: true });
    expect(Object.values(native).every((exported) => typeof exported === "function")).toBe(true);
  });

  it("has flat conditions, as the host reads them", () => {
    for (const target of Object.values(manifest.exports)) {
      const paths = typeof target === "string" ? [target] : Object.values(target);
      expect(paths.every((path) => typeof path === "string" && path.startsWith("./"))).toBe(true);
    }
  });

  it("./server gives the functions of the main entry", () => {
    const script = `
      const main = await import(process.argv[1]), server = await import(process.argv[1] + "/server");
      console.log(Object.keys(server).every((name) => server[name] === main[name]));`;
    const args = ["--input-type=module", "-e", script, manifest.name];
    expect(execFileSync(process.execPath, args, { cwd: root, encoding: "utf8" }).trim()).toBe("true");
  });
});

it("shim and addon are of the version of the package", () => {
  expect(native.nativeVersion()).toBe(manifest.version);
  expect(readFileSync(`${root}dist/index.js`, "utf8")).toContain(JSON.stringify(manifest.version));
});

it("a reload of the host evaluates the entry again and gets a working module", () => {
  const script = `
    const one = await import("./dist/index.js?t=1"), two = await import("./dist/index.js?t=2");
    const path = ({ buildPodLogPath }) => buildPodLogPath("a", "b", "c");
    console.log(one.execute !== two.execute && path(one) === path(two));`;
  expect(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root, encoding: "utf8" }).trim(),
  ).toBe("true");
});

describe("createServerAdapter", () => {
  const module = adapter.createServerAdapter();

  it("is a plain object that survives copying, with every field of the contract", () => {
    expect(Object.getPrototypeOf(module)).toBe(Object.prototype);
    expect({ ...module }).toMatchObject({
      type: "opencode_k8s",
      execute: adapter.execute,
      testEnvironment: adapter.testEnvironment,
      sessionCodec: adapter.sessionCodec,
      listModels: expect.any(Function),
      listSkills: expect.any(Function),
      syncSkills: expect.any(Function),
      getConfigSchema: expect.any(Function),
      supportsLocalAgentJwt: true,
      agentConfigurationDoc: adapter.agentConfigurationDoc,
      supportsInstructionsBundle: true,
      instructionsPathKey: "instructionsFilePath",
      requiresMaterializedRuntimeSkills: false,
      sessionManagement: { supportsSessionResume: true },
      hasOutOfProcessLiveness: true,
    });
    expect(module.models?.length).toBeGreaterThan(0);
    expect(Object.values(Object.getOwnPropertyDescriptors(module)).every((field) => "value" in field)).toBe(true);
  });

  it("answers a host that gives nothing", async () => {
    for (const nothing of [undefined, null, {}])
      expect(await module.execute(nothing as never)).toMatchObject({ errorCode: "k8s_invalid_request" });
  });

  it("refuses hostile ids as a result", async () => {
    const ctx = {
      runId: "a/b",
      agent: { id: "a", companyId: "c", name: "n" },
      config: {},
      context: {},
      onLog: async () => {},
    };
    expect(await module.execute(ctx as never)).toMatchObject({
      exitCode: null,
      errorCode: "k8s_invalid_id",
      errorMessage: expect.stringContaining("Invalid runId for log path: a/b"),
    });
  });

  it("keeps a session through its codec", () => {
    const session = { sessionId: "ses_1", cwd: "/paperclip/w" };
    expect(module.sessionCodec?.deserialize(module.sessionCodec.serialize(session))).toMatchObject(session);
    expect(module.sessionCodec?.deserialize({ session_id: "ses_2", workdir: "/x" })).toEqual({
      sessionId: "ses_2",
      cwd: "/x",
    });
    expect(module.sessionCodec?.getDisplayId?.(session)).toBe("ses_1");
    for (const bad of [null, undefined, [], 5, "x", {}]) expect(module.sessionCodec?.deserialize(bad)).toBeNull();
  });
});
