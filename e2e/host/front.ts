/**
 * The one port that pods need: the scripted provider below `/v1`; Paperclip itself, which listens on this machine's
 * loopback only and may be restarted meanwhile; and for tunnels the stand-in for GitHub.
 */
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from "node:http";

import { answer } from "../provider/provider.js";
import type { GitHub } from "./github.js";

/** What agents call of Paperclip. */
const OF_PAPERCLIP = /^\/(api|runtime-tools)\//;

/** Listens for pods. */
export class Front {
  /** Where Paperclip is; unset while there is none. */
  paperclipUrl: string | undefined;
  /** Takes tunnels; unset where none is played. */
  gitHub: GitHub | undefined;

  private constructor(private readonly server: Server) {}

  static async open(listen: string, port: number): Promise<Front> {
    const server = createServer();
    // Agents pause between requests; a connection that is closed as they begin the next looks like a provider's fault.
    server.keepAliveTimeout = 600_000;
    const front = new Front(server);
    server.on("request", (request, response) => void front.serve(request, response));
    server.on("connect", (request, socket) =>
      front.gitHub ? front.gitHub.take(request, socket) : socket.end("HTTP/1.1 502 Not played\r\n\r\n"),
    );
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, listen, resolve);
    });
    return front;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (request.url?.startsWith("/v1/")) await answer(request, response);
      else if (OF_PAPERCLIP.test(request.url ?? "") && this.paperclipUrl)
        this.pass(request, response, this.paperclipUrl);
      else response.writeHead(404).end();
    } catch (error) {
      if (!response.headersSent) response.writeHead(400);
      response.end(String(error));
    }
  }

  private pass(request: IncomingMessage, response: ServerResponse, target: string): void {
    const { host: _, ...headers } = request.headers;
    const onward = httpRequest(new URL(request.url ?? "/", target), { method: request.method, headers }, (answered) => {
      response.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(response);
    });
    onward.on("error", (error) => {
      if (!response.headersSent) response.writeHead(502);
      response.end(String(error));
    });
    request.pipe(onward);
  }
}
