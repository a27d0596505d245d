/**
 * A stand-in for github.com and its API, as far as `gh auth status` and `git ls-remote` ask them. Pods have one port of
 * this machine, so both are reached through it as through a company's proxy: `HTTPS_PROXY`.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { join } from "node:path";
import type { Duplex } from "node:stream";

import { command } from "../command.js";

const HOSTS = ["github.com", "api.github.com"];

/** Who the token belongs to. */
export const GITHUB = {
  login: "agent-of-the-company",
  userId: "424242",
  token: `gho_${randomBytes(18).toString("hex")}`,
};

/** One commit of the one repository. */
export const REMOTE_COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Answers behind a certificate of its own. */
export class GitHub {
  /** The certificate, for whoever shall trust it. */
  readonly ca: string;

  private constructor(
    private readonly server: Server,
    certificate: string,
  ) {
    this.ca = certificate;
  }

  /** `folder`: for its key. */
  static async open(folder: string): Promise<GitHub> {
    const [key, cert] = [join(folder, "github.key"), join(folder, "github.crt")];
    const names = HOSTS.map((host) => `DNS:${host}`).join(",");
    const make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=stand-in".split(" ");
    await command("openssl", [...make, "-addext", `subjectAltName=${names}`, "-keyout", key, "-out", cert]);
    const certificate = readFileSync(cert, "utf8");
    const server = createServer({ key: readFileSync(key), cert: certificate }, answer);
    return new GitHub(server, certificate);
  }

  /** Takes a tunnel that a client asked for. */
  take(request: IncomingMessage, socket: Duplex): void {
    socket.on("error", () => socket.destroy());
    const isOurs = HOSTS.some((host) => request.url === `${host}:443`);
    socket.write(isOurs ? "HTTP/1.1 200 Connection established\r\n\r\n" : "HTTP/1.1 502 Not played\r\n\r\n");
    if (isOurs) this.server.emit("connection", socket);
    else socket.end();
  }

  close(): void {
    this.server.closeAllConnections();
  }
}

function answer({ url = "", headers }: IncomingMessage, response: ServerResponse): void {
  const basic = Buffer.from(`x-access-token:${GITHUB.token}`).toString("base64");
  if (![`token ${GITHUB.token}`, `Bearer ${GITHUB.token}`, `Basic ${basic}`].includes(headers.authorization ?? "")) {
    response.writeHead(401, { "www-authenticate": 'Basic realm="GitHub"' }).end('{"message": "Bad credentials"}');
  } else if (url.includes("/info/refs?service=git-upload-pack")) {
    const line = (text: string): string => (text.length + 4).toString(16).padStart(4, "0") + text;
    const refs = line(`${REMOTE_COMMIT} refs/heads/main\0agent=git/stand-in\n`);
    response.setHeader("content-type", "application/x-git-upload-pack-advertisement");
    response.end(`${line("# service=git-upload-pack\n")}0000${refs}0000`);
  } else {
    response.setHeader("content-type", "application/json").setHeader("x-oauth-scopes", "repo, read:org, gist");
    response.end(JSON.stringify({ data: { viewer: { login: GITHUB.login } }, login: GITHUB.login }));
  }
}
