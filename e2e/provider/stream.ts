/** Replies in the form of the chat completions API. */
import type { ServerResponse } from "node:http";

import type { Reply, Usage } from "./reply.js";

const DEFAULT_USAGE: Usage = { input: 1000, cached: 200, output: 50 };

/** Sends a reply and ends the response. */
export function send(response: ServerResponse, model: string, reply: Reply): void {
  if ("status" in reply) {
    response.writeHead(reply.status, { "content-type": "application/json" });
    response.end(
      JSON.stringify({ error: { message: reply.message, type: "scripted_error", code: null, param: null } }),
    );
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  for (const chunk of chunks(reply)) {
    response.write(
      `data: ${JSON.stringify({ id: "scripted", object: "chat.completion.chunk", created: 0, model, ...chunk })}\n\n`,
    );
  }
  response.end("data: [DONE]\n\n");
}

function* chunks({ text, tool, usage = DEFAULT_USAGE }: Exclude<Reply, { status: number }>): Generator<object> {
  const delta = (delta: object, finish_reason: string | null = null): object => ({
    choices: [{ index: 0, delta, finish_reason }],
  });
  yield delta({ role: "assistant", content: "" });
  if (text) yield delta({ content: text });
  if (tool) {
    const call = { name: tool.name, arguments: JSON.stringify(tool.args) };
    yield delta({
      tool_calls: [{ index: 0, id: `call_${Date.now().toString(36)}`, type: "function", function: call }],
    });
  }
  yield delta({}, tool ? "tool_calls" : "stop");
  yield { choices: [], usage: wireUsage(usage) };
}

function wireUsage({ input, cached, output }: Usage): object {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}
