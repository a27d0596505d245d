/** A model provider whose answers are scripted. Speaks the chat completions API below `/v1`. */
import type { IncomingMessage, ServerResponse } from "node:http";

import { type ChatRequest, conversationOf } from "./reply.js";
import { scripts } from "./scripts.js";
import { send } from "./stream.js";

/** Answers one request of opencode. */
export async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chat = JSON.parse(await bodyOf(request)) as ChatRequest;
  const script = scripts[chat.model];
  if (!script) return send(response, chat.model, { status: 404, message: `The model ${chat.model} does not exist.` });
  const conversation = conversationOf(chat);
  const reply = script(conversation);
  // Helper requests (the title) have no tools; a provider that refuses, refuses these as well.
  const isHelper = !chat.tools?.length && !("status" in reply);
  send(response, chat.model, isHelper ? { text: "Scripted title", usage: { input: 10, cached: 0, output: 2 } } : reply);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

/** The configuration by which opencode finds the provider at `address` (`http://host:port`). */
export function opencodeConfig(address: string): object {
  const price = { input: 3, output: 15, cache_read: 0.3, cache_write: 3.75 };
  const model = (name: string): [string, object] => [
    name,
    { name, tool_call: true, limit: { context: 200_000, output: 32_000 }, cost: price },
  ];
  return {
    autoupdate: false,
    share: "disabled",
    provider: {
      scripted: {
        npm: "@ai-sdk/openai-compatible",
        name: "Scripted",
        options: { baseURL: `${address}/v1`, apiKey: "scripted" },
        models: Object.fromEntries(Object.keys(scripts).map(model)),
      },
    },
  };
}
