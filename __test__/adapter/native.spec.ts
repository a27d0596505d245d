import { expect, it } from "vitest";

import { checkNative, NativeUnavailableError } from "../../adapter/addon/native.js";
import { createSessionCodec } from "../../adapter/run/session-codec.js";
import { createTestEnvironment } from "../../adapter/settings/test-environment.js";
import type { EnvironmentCheck } from "../../index.js";
import { fakeNative } from "./fake-native.js";

it("takes a binary of the same version, and any when the shim runs from its sources", () => {
  const native = fakeNative();
  expect(checkNative(native, "1.2.3")).toBe(native);
  expect(checkNative(native, null)).toBe(native);
});

it("asks for a restart when the versions differ", () => {
  const mismatch = /is version 1\.2\.3, the adapter is version 2\.0\.0[\s\S]*Restart the server/;
  expect(() => checkNative(fakeNative(), "2.0.0")).toThrow(mismatch);
  expect(() => checkNative(fakeNative(), "2.0.0")).toThrow(NativeUnavailableError);
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
