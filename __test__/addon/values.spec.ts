import { describe, expect, it } from "vitest";

import { loadScript } from "./script.js";

const seen: string[] = [];
const { native } = loadScript({
  sessionDeserialize: (json: string) => {
    seen.push(json);
    return "null";
  },
  podScript: () => "",
  buildJobManifest: (json: string) => {
    seen.push(json);
    return '{"isWellFormed":true,"job":{"spec":{"template":{"spec":{}}}},"knownTexts":{"script":null,"prompt":null}}';
  },
});

/** What Rust gets of a value. */
function toJsonText(value: unknown): string {
  native.sessionDeserialize(value);
  return seen.pop()!;
}

describe("what Rust gets of a value", () => {
  it("keeps what JSON knows", () => {
    const value = { a: [1, "x", null, true, { b: [] }], __proto__: { inherited: 1 } };
    expect(JSON.parse(toJsonText(value))).toEqual({ a: [1, "x", null, true, { b: [] }] });
  });

  it("turns dates, numbers and texts of JavaScript into JSON's", () => {
    const value = {
      date: new Date(0),
      bad: new Date(NaN),
      big: 10n,
      nan: NaN,
      lone: "a\ud800",
      url: new URL("http://x/"),
    };
    expect(JSON.parse(toJsonText(value))).toEqual({
      date: "1970-01-01T00:00:00.000Z",
      bad: null,
      big: "10",
      nan: null,
      lone: "a\ufffd",
      url: "http://x/",
    });
  });

  it("leaves out what JSON cannot hold", () => {
    const value = { f: () => 1, s: Symbol("x"), u: undefined, list: [() => 1, undefined] };
    expect(JSON.parse(toJsonText(value))).toEqual({ list: [null, null] });
    expect(toJsonText(() => 1)).toBe("null");
  });

  it("breaks cycles and keeps shared references", () => {
    const shared = { x: 1 };
    const value: Record<string, unknown> = { one: shared, two: shared };
    value["self"] = value;
    expect(JSON.parse(toJsonText(value))).toEqual({ one: { x: 1 }, two: { x: 1 } });
  });

  it("survives getters and proxies that throw", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const value = {
      get bad(): string {
        throw new Error("no");
      },
      proxy,
      json: {
        toJSON: () => {
          throw new Error("no");
        },
      },
      good: 1,
    };
    expect(JSON.parse(toJsonText(value))).toEqual({ good: 1 });
  });

  it("refuses a small graph that would be huge as a tree, a deep one and a wide one, and drops nothing of them", () => {
    let doubled: unknown = { leaf: 1 };
    for (let level = 0; level < 60; level++) doubled = { a: doubled, b: doubled };
    let deep: unknown = {};
    for (let level = 0; level < 100_000; level++) deep = [deep];
    const wide = Array.from({ length: 600_000 }, () => 1);
    for (const value of [doubled, deep, { wide }, [[wide]]]) {
      expect(() => toJsonText(value)).toThrow(/^The request is too large: it has more than /);
    }
    const keys = Object.fromEntries(Array.from({ length: 80_000 }, (_, index) => [`k${index}`, index]));
    expect(JSON.parse(toJsonText({ keys, apiKey: "last" }))).toEqual({ keys, apiKey: "last" });
  });

  it("names what cannot be read where a field is asked for by name", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const getter = {
      get reason(): string {
        throw new Error("no");
      },
    };
    const judge = (facts: unknown) => native.resolveOutcome(facts as never);
    expect(() => judge(getter)).toThrow(new TypeError("facts.reason cannot be read: no"));
    const facts = { stdout: "", stderr: "", exitCode: 0, logState: "proven" };
    expect(() => judge({ ...facts, session: { deep: [1, getter] } })).toThrow(
      "facts.session.deep.1.reason cannot be read: no",
    );
    expect(() => judge({ ...facts, session: proxy })).toThrow(/^facts\.session cannot be read: /);
    expect(() => judge(proxy)).toThrow(/^facts cannot be read: /);
  });

  it("reads of a run's context only what a Job needs", () => {
    const tree = {
      get files(): string {
        throw new Error("it may be large");
      },
    };
    const context = { ...{ issueId: "i" }, paperclipWorkspace: Object.assign(tree, { cwd: "/w" }) };
    Object.defineProperty(context, "history", { enumerable: true, get: () => tree.files });
    const ctx = { runId: "r", agent: { id: "a", name: "n", companyId: "c" }, config: {}, context };
    native.buildJobManifest({ ctx, selfPod: {}, prompt: "p" } as never);
    const given = JSON.parse(seen.pop()!) as Record<string, unknown>;
    expect(given["context"]).toEqual({ issueId: "i", paperclipWorkspace: { cwd: "/w" } });
  });

  it("refuses a large buffer and a long list before it reads them", () => {
    const buffer = new Uint8Array(2_000_000);
    const list = new Proxy(new Array(4_000_000), {
      get: (target, key) =>
        key === "length" || key === "toJSON" ? Reflect.get(target, key) : expect.fail(`${String(key)}`),
    });
    for (const value of [buffer, { deeper: [buffer] }, list]) expect(() => toJsonText(value)).toThrow("500,000 values");
    expect(toJsonText(new Uint8Array(2))).toBe('{"0":0,"1":0}');
  });

  it("keeps a key named __proto__ a key", () => {
    expect(toJsonText(JSON.parse('{"__proto__":{"a":1}}'))).toBe('{"__proto__":{"a":1}}');
  });
});
