/** What a scripted model answers to one request. */

/** Tokens that a reply claims to have used. */
export interface Usage {
  input: number;
  cached: number;
  output: number;
}

/** A refusal over HTTP, or a streamed answer: words, then at most one call of a tool. */
export type Reply =
  | { status: number; message: string }
  | { text?: string; tool?: { name: string; args: Record<string, unknown> }; usage?: Usage };

/** The part of a chat completion request that scripts look at. */
export interface ChatRequest {
  model: string;
  messages: { role: string; content?: unknown }[];
  tools?: { function?: { name?: string } }[];
}

/** A script is a function of the conversation alone: any number of agents may be on, and any may resume. */
export type Script = (conversation: Conversation) => Reply;

/** How far a conversation is. */
interface Conversation {
  /** Prompts so far, so 2 in a resumed session. */
  turn: number;
  /** Tool results since the last prompt. */
  step: number;
  /** Names of the tools that opencode offers. */
  tools: string[];
}

/** Reads how far a conversation is. */
export function conversationOf({ messages, tools = [] }: ChatRequest): Conversation {
  const last = messages.findLastIndex(({ role }) => role === "user");
  return {
    turn: messages.filter(({ role }) => role === "user").length,
    step: messages.slice(last + 1).filter(({ role }) => role === "tool").length,
    tools: tools.map((tool) => tool.function?.name ?? ""),
  };
}
