/**
 * A registry that knows the packages of this repository and sends everybody on to the real one for all others. So Paperclip
 * installs the adapter by its name, with its dependencies and its native part, exactly as after a release.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import type { Packed } from "./packages.js";

/** A running registry. */
export interface Registry {
  url: string;
  close(): Promise<void>;
}

/** Serves `packages` on this machine's loopback. */
export async function openRegistry(packages: readonly Packed[], upstream: string): Promise<Registry> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname).slice(1);
    const asked = packages.find(({ name }) => path === name || path === tarballPath(name));
    if (!asked) response.writeHead(302, { location: new URL(request.url?.slice(1) ?? "", upstream).href }).end();
    else if (path === asked.name) response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document(asked, addressOf(server))));
    else response.writeHead(200, { "content-type": "application/octet-stream" }).end(asked.tarball);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: addressOf(server),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function document({ name, version, manifest, integrity }: Packed, url: string): object {
  const dist = { tarball: `${url}${tarballPath(name)}`, integrity };
  return { name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, dist } } };
}

function tarballPath(name: string): string {
  return `${name}/-/package.tgz`;
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
