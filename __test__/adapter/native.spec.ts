import { expect, it } from "vitest";

import {
  checkNative,
  loadFailure,
  NATIVE_FUNCTIONS,
  NativeUnavailableError,
  platformTriple,
} from "../../adapter/addon/native.js";
import { createSessionCodec } from "../../adapter/run/session-codec.js";
import { createTestEnvironment } from "../../adapter/settings/test-environment.js";
import type { EnvironmentCheck } from "../../index.js";
import { fakeNative } from "./fake-native.js";

it("takes a binary of the same version, and any when the shim runs from its sources", () => {
  const native = fakeNative();
  expect(checkNative(native, "1.2.3")).toBe(native);
  expect(checkNative(native, null)).toBe(native);
});

it("asks for a restart when the versions differ or a function is missing", () => {
  const mismatch = /is version 1\.2\.3, the adapter is version 2\.0\.0[\s\S]*Restart the server/;
  expect(() => checkNative(fakeNative(), "2.0.0")).toThrow(mismatch);
  for (const name of NATIVE_FUNCTIONS) {
    expect(() => checkNative({ ...fakeNative(), [name]: undefined }, null)).toThrow(NativeUnavailableError);
  }
  for (const broken of [null, undefined, {}, 5]) expect(() => checkNative(broken, null)).toThrow(platformTriple());
});

it("a binary that cannot be loaded is said with each cause, and with one command that removes no other package", () => {
  const absent = new Error("Cannot find module './x.node'\nRequire stack:\n- /somewhere", { cause: null });
  const old = new Error("/lib/libc.so.6: version `GLIBC_2.28' not found", { cause: absent });
  const wasi = new Error("Cannot find module './x.wasi.cjs'", { cause: old });
  const loader = new Error("Please try `npm i` again after removing everything", { cause: wasi });
  const { message, code, cause } = loadFailure(loader, "1.2.3");
  const platformPackage = `paperclip-adapter-opencode-k8s-${platformTriple()}@1.2.3`;
  expect(message).toContain(
    `for ${platformTriple()} is missing or cannot be loaded. Install the package ${platformPackage}`,
  );
  // npm removes from Paperclip's folder what is not named to it: the adapter itself, if only its binary is named.
  expect(message).toContain(`npm install --no-save paperclip-adapter-opencode-k8s@1.2.3 ${platformPackage}`);
  expect(message).toContain("Cause: /lib/libc.so.6: version `GLIBC_2.28' not found; Cannot find module './x.node'");
  expect(message).not.toMatch(/npm i`|Require stack|wasi|null/);
  expect([code, cause]).toEqual(["k8s_native_unavailable", loader]);
  expect(loadFailure("no error at all", null).message).toContain("Cause: no error at all");
});

it("names the platform as the packages do", () => {
  expect(platformTriple()).toMatch(/^(linux-(x64|arm64)-(gnu|musl)|darwin-(x64|arm64)|win32-.+)$/);
});

const missing = () => {
  throw new NativeUnavailableError("install it");
};

it("reads every session as none without the binary", () => {
  const codec = createSessionCodec(missing);
  expect([codec.deserialize({ sessionId: "s" }), codec.serialize({ sessionId: "s" }), codec.getDisplayId({})]).toEqual([
    null,
    null,
    null,
  ]);
});

it("passes sessions through the native side", () => {
  const codec = createSessionCodec(() => fakeNative());
  expect(codec.deserialize({ sessionId: "s" })).toEqual({ sessionId: "s" });
  expect(codec.serialize(null)).toBeNull();
  expect(codec.deserialize(undefined)).toBeNull();
  expect(codec.getDisplayId({})).toBe("shown");
});

const testContext = { companyId: "c", adapterType: "opencode_k8s", config: {} };
const check = (level: string) => ({ code: "x", level, message: "m" });

it.each([
  [[], "pass"],
  [["info"], "pass"],
  [["info", "warn"], "warn"],
  [["warn", "error"], "fail"],
])("an environment with %j is a %s", async (levels, status) => {
  const probeEnvironment = async () => ({ checks: levels.map(check) as EnvironmentCheck[] });
  const result = await createTestEnvironment(() => fakeNative({ probeEnvironment }))(testContext);
  expect(result).toMatchObject({ adapterType: "opencode_k8s", status, testedAt: expect.any(String) });
  expect(result.checks).toHaveLength(levels.length);
});

it("an environment that cannot be probed is a finding", async () => {
  const probeEnvironment = () => Promise.reject(new Error("no route"));
  expect(await createTestEnvironment(() => fakeNative({ probeEnvironment }))(testContext)).toMatchObject({
    status: "fail",
    checks: [{ code: "k8s_probe_failed", message: expect.stringContaining("no route") }],
  });
  expect(await createTestEnvironment(missing)(testContext)).toMatchObject({
    status: "fail",
    checks: [{ code: "k8s_native_unavailable", message: "install it" }],
  });
});
