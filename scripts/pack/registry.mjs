// A registry on this machine that has the packed packages, and sends npm to the configured one for everything else: so
// an install is npm's own, with its choice of optional dependencies, before anything is published.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

/** Serves the packages of these files on a free port of the loopback. */
export async function serveTarballs(files) {
  const packages = new Map(files.map(readTarball).map((entry) => [entry.manifest.name, entry]));
  const upstream = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim().replace(/\/$/, "");
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname).slice(1);
    const [name, file] = path.split("/-/");
    const entry = packages.get(name);
    if (entry && file) response.end(entry.bytes);
    else if (entry) response.setHeader("content-type", "application/json").end(document(entry, url));
    // What belongs to this package and was not packed is not published yet: the outside has no part in it.
    else if (isOurs(name, packages)) response.writeHead(404, { "content-type": "application/json" }).end("{}");
    else response.writeHead(307, { location: `${upstream}${request.url}` }).end();
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}`;
  return { url, close: () => server.close() };
}

function isOurs(name, packages) {
  return [...packages.keys()].some((known) => name.startsWith(`${known}-`));
}

function readTarball(path) {
  const bytes = readFileSync(path);
  const manifest = JSON.parse(execFileSync("tar", ["-xzOf", path, "package/package.json"], { encoding: "utf8" }));
  return { bytes, manifest };
}

function document({ manifest, bytes }, url) {
  const { name, version } = manifest;
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  const dist = { integrity, tarball: `${url}/${name}/-/${version}.tgz` };
  return JSON.stringify({ name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, dist } } });
}
