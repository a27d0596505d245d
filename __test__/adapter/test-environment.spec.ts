/** What the environment test asks Paperclip itself before the addon judges. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, it, vi } from "vitest";

import type { ProbeRequest } from "../../index.js";
import { createTestEnvironment } from "../../adapter/settings/test-environment.js";
import { fakeNative } from "./fake-native.js";

let server: Server | undefined;

afterEach(() => {
  vi.unstubAllEnvs();
  server?.close();
  server = undefined;
});

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
  server = createServer((_, response) => void response.writeHead(403).end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await requestTo(address)).toMatchObject({ paperclipApiUrl: address, paperclipApiStatus: 403 });
});

it("says nothing where there is no answer, or no address", async () => {
  for (const address of ["http://127.0.0.1:1", "no address"])
    expect((await requestTo(address)).paperclipApiStatus).toBeUndefined();
});
