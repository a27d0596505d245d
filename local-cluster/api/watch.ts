/** One open watch: what changed since a revision, then what changes from now on, as a stream of JSON lines. */

import type { ServerResponse } from "node:http";
import type { KubeObject } from "../objects.js";
import { type Change, type Store, textOf } from "../store/store.js";
import type { Resource } from "./resources.js";
import type { Predicate } from "./selectors.js";
import { failure } from "./status.js";

interface WatchRequest {
  resource: Resource;
  namespace?: string;
  matches: Predicate;
  /** Undefined or 0: everything that exists comes first, as ADDED. */
  from: number;
  timeoutMs: number;
  bookmarks: boolean;
}

// A real server sends one about once a minute; tests have no minute.
const BOOKMARK_MS = 2_000;

export class Watch {
  readonly #response: ServerResponse;
  readonly #store: Store;
  readonly #request: WatchRequest;
  #unsubscribe: () => void = () => {};
  #timers: NodeJS.Timeout[] = [];
  #lastSent = 0;
  /** Counts events, so that a fault can cut the stream after some. */
  onEvent: (sent: number) => void = () => {};
  #sent = 0;

  constructor(response: ServerResponse, store: Store, request: WatchRequest) {
    this.#response = response;
    this.#store = store;
    this.#request = request;
  }

  start(): void {
    this.#response.writeHead(200, { "content-type": "application/json", "cache-control": "no-cache, private" });
    this.#response.flushHeaders();
    this.#response.on("close", () => this.#dispose());
    const { from } = this.#request;
    if (from === 0) {
      for (const object of this.#store.list(this.#request.resource.plural, this.#request.namespace)) {
        if (this.#request.matches(object)) this.#send("ADDED", object);
      }
      this.#lastSent = this.#store.revision;
    } else {
      const missed = this.#store.since(from);
      if (!missed) return this.gone(`too old resource version: ${from} (${this.#store.compacted})`);
      this.#lastSent = from;
      for (const change of missed) this.#consider(change);
    }
    this.#unsubscribe = this.#store.onChange((change) => this.#consider(change));
    if (this.#request.bookmarks) this.#timers.push(setInterval(() => this.#bookmark(), BOOKMARK_MS));
    this.#timers.push(
      setTimeout(() => {
        if (this.#request.bookmarks) this.#bookmark();
        this.end();
      }, this.#request.timeoutMs),
    );
  }

  /** The 410 that arrives inside a stream whose HTTP status was 200. */
  gone(message: string): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { "content-type": "application/json" });
    this.#write("ERROR", JSON.stringify(failure(410, "Expired", message)));
    this.end();
  }

  end(): void {
    this.#dispose();
    this.#response.end();
  }

  /** The connection breaks: no final chunk. */
  drop(): void {
    this.#dispose();
    this.#response.socket?.destroy();
  }

  #consider(change: Change): void {
    const { resource, namespace, matches } = this.#request;
    if (change.resource !== resource.plural) return;
    if (namespace !== undefined && change.object.metadata.namespace !== namespace) return;
    const now = change.type !== "DELETED" && matches(change.object);
    const before = change.previous !== undefined && matches(change.previous);
    this.#lastSent = change.revision;
    // To a selector, an object that starts or ceases to match appears and disappears.
    if (now) this.#send(before ? "MODIFIED" : "ADDED", change.object);
    else if (before) this.#send("DELETED", change.object);
  }

  #send(type: string, object: KubeObject): void {
    this.#write(type, textOf(object));
    this.onEvent(++this.#sent);
  }

  #bookmark(): void {
    const { kind, group, version } = this.#request.resource;
    const revision = Math.max(this.#lastSent, this.#store.revision);
    const apiVersion = group ? `${group}/${version}` : version;
    this.#write(
      "BOOKMARK",
      JSON.stringify({ apiVersion, kind, metadata: { resourceVersion: String(revision), creationTimestamp: null } }),
    );
  }

  #write(type: string, object: string): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    this.#response.write(`{"type":"${type}","object":${object}}\n`);
  }

  #dispose(): void {
    this.#unsubscribe();
    for (const timer of this.#timers.splice(0)) clearTimeout(timer);
  }
}
