/**
 * The tests' own door, on a port apart from the API's so that it stays open in an outage: faults, request counts and
 * the output of containers. Only the administrator's token opens it.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ApiError } from "./api/status.js";
import type { Cluster } from "./cluster.js";
import type { Fault } from "./faults/spec.js";

export async function openControl(cluster: Cluster): Promise<Server> {
  const server = createServer((request, response) => void serve(cluster, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

export const controlUrl = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function serve(cluster: Cluster, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    if (request.headers.authorization !== `Bearer ${cluster.ready.adminToken}`)
      return void response.writeHead(401).end("Unauthorized");
    const answer = await act(cluster, request);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(error instanceof ApiError ? error.status.code : 500).end(String(error));
  }
}

async function act(cluster: Cluster, request: IncomingMessage): Promise<unknown> {
  const url = new URL(request.url ?? "/", "http://local");
  const [, , room, id] = url.pathname.split("/");
  const parameter = (name: string): string => url.searchParams.get(name) ?? "";
  switch (`${request.method} ${room}`) {
    case "POST faults":
      return { id: cluster.addFault((await json(request)) as Fault) };
    case "DELETE faults":
      await cluster.clearFaults(id === undefined ? undefined : Number(id));
      return {};
    case "GET requests":
      return cluster.server.counts;
    case "DELETE requests":
      cluster.server.resetCounts();
      return {};
    case "GET logs":
      return { text: cluster.logs(parameter("namespace"), parameter("pod"), parameter("container")) };
    default:
      throw new ApiError(404, "NotFound", `no such control: ${request.method} ${url.pathname}`);
  }
}

async function json(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text);
}
