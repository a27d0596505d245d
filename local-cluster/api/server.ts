/** The API server's front: one HTTP listener that knows who asks for what, applies faults and hands on to the verbs. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Faults } from "../faults/registry.js";
import type { RequestFault } from "../faults/spec.js";
import type { Store } from "../store/store.js";
import { type Access, type Account, faultRefusal } from "./access.js";
import { discovery } from "./discovery.js";
import { parsePath, RESOURCES, type Resource, REVIEWS, type Target } from "./resources.js";
import * as status from "./status.js";
import { ApiError } from "./status.js";
import { type Answer, selectorTest, type Verbs } from "./verbs.js";
import { Watch } from "./watch.js";

const BODY_LIMIT = 3 * 1024 * 1024;

export interface Parts {
  store: Store;
  verbs: Verbs;
  access: Access;
  faults: Faults;
  readLog: (namespace: string, pod: string, query: URLSearchParams) => string;
}

interface Asked {
  account: Account;
  verb: string;
  target: Target;
  query: URLSearchParams;
  body: unknown;
  contentType: string;
}

export class ApiServer {
  readonly #parts: Parts;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<Watch>();
  readonly #counts: Record<string, number> = {};
  #port = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.keepAliveTimeout = 0;
    this.#server.requestTimeout = 0;
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** How often the account asked, by `verb resource`. */
  get counts(): Record<string, number> {
    return { ...this.#counts };
  }

  resetCounts(): void {
    for (const key of Object.keys(this.#counts)) delete this.#counts[key];
  }

  listen(port = this.#port): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => {
        this.#server.off("error", reject);
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  /** Breaks every connection and refuses new ones. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  dropWatches(): void {
    for (const watch of [...this.#watches]) watch.drop();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? "/", this.url);
      const inPath = /^\/as\/([^/]+)/.exec(url.pathname);
      if (inPath) url.pathname = url.pathname.slice(inPath[0].length);
      const account = this.#parts.access.accountOf(inPath ? `Bearer ${inPath[1]}` : request.headers.authorization);
      if (!account) throw status.unauthorized();
      const known = request.method === "GET" ? discovery(url.pathname, this.url) : undefined;
      if (known) return reply(response, { code: 200, body: known });
      const target = parsePath(url.pathname);
      if (!target) return reply(response, undefined);
      if (request.headers["content-type"]?.includes("protobuf")) throw status.unsupportedMedia();
      const text = await readBody(request);
      const verb = verbOf(request.method ?? "GET", target, url.searchParams);
      const contentType = request.headers["content-type"] ?? "application/json";
      await this.#fulfil(
        { account, verb, target, query: url.searchParams, body: parseBody(text), contentType },
        request,
        response,
      );
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      const known =
        error instanceof ApiError
          ? error
          : new ApiError(500, "InternalError", `Internal error occurred: ${String(error)}`, {});
      if (!response.headersSent) reply(response, { code: known.status.code, body: known.status }, known.headers);
      else response.destroy();
    }
  }

  async #fulfil(asked: Asked, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { account, verb, target } = asked;
    const { access, faults } = this.#parts;
    const name = target.name ?? (asked.body as any)?.metadata?.name ?? "";
    let fault: RequestFault | undefined;
    if (account === "account") {
      const key = `${verb} ${target.plural}`;
      this.#counts[key] = (this.#counts[key] ?? 0) + 1;
      fault = faults.forRequest({ verb, resource: target.plural, name });
    }
    if (fault?.kind === "hang") await cleared(faults, fault, request);
    if ((fault?.kind === "status" || fault?.kind === "reset") && fault.perform) this.#answer(asked);
    if (fault?.kind === "hang" || fault?.kind === "reset") return void request.socket.destroy();
    if (fault?.kind === "status") throw statusOf(fault, asked);

    const full = target.subresource ? `${target.plural}/${target.subresource}` : target.plural;
    const namespace = target.namespace ?? (target.plural === "namespaces" ? target.name : undefined);
    const refused = access.refusal(account, verb, target.group, full, namespace);
    if (refused) throw status.forbidden({ plural: full, kind: "", group: target.group }, target.name, refused);
    if (verb === "watch") return this.#watch(asked, response, fault);
    const answer = this.#answer(asked);
    if (typeof answer === "string") response.writeHead(200, { "content-type": "text/plain" }).end(answer);
    else reply(response, answer);
  }

  #answer({ account, verb, target, query, body, contentType }: Asked): Answer | string {
    const { verbs, access, faults, readLog } = this.#parts;
    if (target.plural === REVIEWS.plural && target.group === REVIEWS.group) {
      if (verb !== "create") throw status.methodNotAllowed();
      return { code: 201, body: access.review(account, body) };
    }
    const resource = resourceOf(target);
    if (target.subresource === "log" && verb === "get") {
      verbs.get(resource, target);
      return readLog(target.namespace!, target.name!, query);
    }
    if (target.subresource !== undefined && target.subresource !== "status") throw status.noSuchPath();
    switch (verb) {
      case "get":
        return verbs.get(resource, target);
      case "list":
        return verbs.list(resource, target, query);
      case "create":
        return warned(verbs.create(resource, target, body, query), faults.warningsOf(resource.plural));
      case "patch":
        return verbs.patch(resource, target, body, query, contentType);
      case "update":
        return verbs.update(resource, target, body, query);
      case "delete":
        return verbs.delete(resource, target, body, query);
      case "deletecollection":
        return verbs.deleteCollection(resource, target, body, query);
      default:
        throw status.methodNotAllowed();
    }
  }

  #watch({ target, query }: Asked, response: ServerResponse, fault: RequestFault | undefined): void {
    if (query.get("sendInitialEvents") !== null) {
      const options = { plural: "", kind: "ListOptions", group: "meta.k8s.io" };
      const message =
        "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
      throw status.invalid(options, "", [{ reason: "FieldValueForbidden", message, field: "sendInitialEvents" }]);
    }
    const version = query.get("resourceVersion") ?? "0";
    const from = Number(version);
    if (!Number.isInteger(from))
      throw status.badRequest(
        `resourceVersion: Invalid value: "${version}": strconv.ParseUint: parsing "${version}": invalid syntax`,
      );
    const resource = resourceOf(target);
    const matches = selectorTest(resource, query);
    const watch = new Watch(response, this.#parts.store, {
      resource,
      ...(target.namespace === undefined ? {} : { namespace: target.namespace }),
      matches: target.name ? (object) => object.metadata.name === target.name && matches(object) : matches,
      from,
      timeoutMs: Number(query.get("timeoutSeconds") ?? 1800) * 1000,
      bookmarks: query.get("allowWatchBookmarks") === "true",
    });
    this.#watches.add(watch);
    response.on("close", () => this.#watches.delete(watch));
    if (fault?.kind === "gone-event") return watch.gone("too old resource version: 1 (2)");
    if (fault?.kind === "drop-watch") {
      const after = fault.afterEvents ?? (fault.afterMs === undefined ? 0 : Infinity);
      // Later than the write: what was sent before the cut should arrive.
      watch.onEvent = (sent) => void (sent >= after && setImmediate(() => watch.drop()));
      if (fault.afterMs !== undefined) setTimeout(() => watch.drop(), fault.afterMs);
      else if (after === 0) setImmediate(() => watch.drop());
    }
    watch.start();
    if (fault?.kind === "close-watch") watch.end();
  }
}

function resourceOf(target: Target): Resource {
  const resource = RESOURCES[target.plural];
  if (!resource || resource.group !== target.group) throw status.noSuchPath();
  return resource;
}

function verbOf(method: string, target: Target, query: URLSearchParams): string {
  const watching = query.get("watch") === "true" || query.get("watch") === "1";
  switch (method) {
    case "GET":
      return target.subresource ? "get" : watching ? "watch" : target.name ? "get" : "list";
    case "POST":
      if (target.name) throw status.methodNotAllowed();
      return "create";
    case "PUT":
    case "PATCH":
      if (!target.name) throw status.methodNotAllowed();
      return method === "PUT" ? "update" : "patch";
    case "DELETE":
      return target.name ? "delete" : "deletecollection";
    default:
      throw status.methodNotAllowed();
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > BODY_LIMIT)
      throw new ApiError(413, "RequestEntityTooLarge", `Request entity too large: limit is ${BODY_LIMIT}`, {});
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseBody(text: string): unknown {
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw status.badRequest(`couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

const REASONS: Record<number, [string, string]> = {
  403: ["Forbidden", ""],
  410: ["Expired", "The resourceVersion for the provided watch is too old."],
  429: ["TooManyRequests", "the server has received too many requests and has asked us to try again later"],
  500: ["InternalError", "Internal error occurred: etcdserver: leader changed"],
  503: ["ServiceUnavailable", "the server is currently unable to handle the request"],
  504: [
    "Timeout",
    "the server was unable to return a response in the time allotted, but may still be processing the request",
  ],
};

function statusOf(fault: RequestFault & { kind: "status" }, { verb, target }: Asked): ApiError {
  const resource = RESOURCES[target.plural] ?? { plural: target.plural, kind: "", group: target.group };
  if (fault.code === 403) {
    return status.forbidden(
      resource,
      target.name,
      fault.message ?? faultRefusal(verb, target.group, target.plural, target.namespace),
    );
  }
  const [reason, message] = REASONS[fault.code] ?? ["", `the server answered ${fault.code}`];
  const details = fault.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: fault.retryAfterSeconds };
  const headers = fault.retryAfterSeconds === undefined ? {} : { "retry-after": String(fault.retryAfterSeconds) };
  return new ApiError(fault.code, fault.reason ?? reason, fault.message ?? message, details, headers);
}

/** Waits until the fault is cleared, or the client gives up. */
function cleared(faults: Faults, fault: RequestFault, request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    const stop = faults.onChange(() => {
      if (!faults.isStanding(fault)) done();
    });
    const done = (): void => {
      stop();
      resolve();
    };
    request.socket.once("close", done);
  });
}

function reply(response: ServerResponse, answer: Answer | undefined, headers: Record<string, string> = {}): void {
  if (!answer) return void response.writeHead(404, { "content-type": "text/plain" }).end("404 page not found\n");
  const text = `${JSON.stringify(answer.body)}\n`;
  response.writeHead(answer.code, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...warningHeader(answer),
    ...headers,
  });
  response.end(text);
}

function warned(answer: Answer, more: string[]): Answer {
  return { ...answer, warnings: [...(answer.warnings ?? []), ...more] };
}

function warningHeader({ warnings = [] }: Answer): Record<string, string[]> {
  return warnings.length === 0 ? {} : { warning: warnings.map((text) => `299 - ${JSON.stringify(text)}`) };
}
