/** What the environment test asks Paperclip itself before the addon judges. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, it, vi } from "vitest";

import type { ProbeRequest } from "../../index.js";
import { createListSkills } from "../../adapter/settings/skills.js";
import { createOnHireApproved, createTestEnvironment } from "../../adapter/settings/test-environment.js";
import { fakeNative } from "./fake-native.js";

let server: Server | undefined;

afterEach(() => {
  vi.unstubAllEnvs();
  server?.close();
  server = undefined;
});

/** Paperclip's API, which answers what `statusOf` says; its address. */
async function listen(statusOf: (path: string | undefined) => number): Promise<string> {
  server = createServer((request, response) => void response.writeHead(statusOf(request.url)).end());
  await once(server.listen(0, "127.0.0.1"), "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function requestTo(address: string): Promise<ProbeRequest> {
  vi.stubEnv("PAPERCLIP_API_URL", address);
  const requests: ProbeRequest[] = [];
  const native = fakeNative({
    probeEnvironment: async (request) => {
      requests.push(request);
      return { checks: [] };
    },
  });
  const context = { companyId: "company-1", adapterType: "opencode_k8s", config: {} };
  expect((await createTestEnvironment(() => native)(context)).status).toBe("pass");
  return requests[0]!;
}

it("tells with what Paperclip answers at the address of the agents", async () => {
  const address = await listen(() => 403);
  expect(await requestTo(address)).toMatchObject({ paperclipApiUrl: address, paperclipApiStatus: 403 });
});

it("asks below the path of the address, where a proxy has Paperclip", async () => {
  const address = await listen((path) => (path === "/paperclip/api/health" ? 200 : 403));
  for (const path of ["/paperclip", "/paperclip/"])
    expect(await requestTo(address + path)).toMatchObject({ paperclipApiStatus: 200 });
});

it("never rejects, whatever the host gives", async () => {
  const native = fakeNative();
  const unreadable = new Proxy(
    {},
    {
      get: () => {
        throw new Error("not to be read");
      },
    },
  );
  for (const given of [undefined, null, "x", {}, { config: 5 }, unreadable]) {
    expect((await createTestEnvironment(() => native)(given as never)).checks.length).toBe(
      given === unreadable ? 1 : 0,
    );
    expect((await createOnHireApproved(() => native)(given as never, given as never)).ok).toBe(given !== unreadable);
    const { warnings } = await createListSkills(() => native)(given as never);
    expect(warnings).toEqual(given === unreadable ? ["Skills cannot be listed: not to be read"] : []);
  }
});

it("says nothing where there is no answer, or no address", async () => {
  for (const address of ["http://127.0.0.1:1", "no address"])
    expect((await requestTo(address)).paperclipApiStatus).toBeUndefined();
});
