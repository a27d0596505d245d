//! Words for the conversation: too long, or refused.

/// The conversation, or the prompt, is longer than the model takes.
pub(in super::super) const OVERFLOW: &[&str] = &[
    "context-overflow",
    "context window",
    "context length",
    "context limit",
    "context size",
    "maximum prompt length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input token count",
    "input tokens exceed",
    "your input exceeds",
    "exceeded model token limit",
    "exceeds the maximum number of tokens",
    "range of input length",
    "exceeds max length",
    "size limit exceeded by",
    "reduce the length of the messages",
    "when context the overflows",
    "cannot truncate prompt",
    "context shift is disabled",
    "must be reduced in order to run",
    "payload size exceeds",
    "longer than the maximum",
    "max_tokens must be at least 1",
    "max_new_tokens` must be",
    "must have less than",
    "exceed max message tokens",
    "上下文长度",
    "输入内容过长",
    "超长",
];

/// Something is longer than it may be.
pub(in super::super) const TOO_LONG: &[&str] = &[
    "exceed",
    "too long",
    "too large",
    "must be less than",
    "longer than",
    "greater than",
];

/// What else may be too long, so that a new session changes nothing.
pub(in super::super) const NOT_THE_INPUT: &[&str] = &[
    "max_tokens",
    "max tokens",
    "output token",
    "completion token",
    "string too long",
    "array too long",
    "budget",
    "tool",
    "image",
    "rate limit",
    "rate exceeded",
    "throttl",
    "quota",
    "per minute",
    "too many requests",
];

/// The conversation itself is refused: every later request of the session has the same messages.
pub(in super::super) const HISTORY: &[&str] = &[
    "tool_use",
    "tool_result",
    "tool_call",
    "tool call",
    "tooluse",
    "toolresult",
    "function call",
    "function_call",
    "function response",
    "role 'tool'",
    "encrypted_content",
    "encrypted content",
    "thought_signature",
    "thought signature",
    "signature` in `thinking",
    "signature in thinking",
    "thinking signature",
    "thinking block",
    "redacted_thinking",
    "reasoning block",
    "expected `thinking`",
    "reasoning_content",
    "type 'reasoning'",
    "prefill",
    "must end with a user",
    "start with a user",
    "must alternate",
    "alternate between",
    "last role",
    "last message cannot",
    "unexpected role",
    "assistant message",
    "'assistant'",
    "non-empty content",
    "must be non-empty",
    "must not be empty",
    "must have non-empty",
    "is blank",
    "message is empty",
    "trailing whitespace",
    "items are not persisted",
    "item with id",
    "duplicate item",
    "required following item",
    "previous_response",
    "message at position",
    "message index",
    "messages must",
    "modelmessage",
    "missing for tool",
    "messages: ",
    "messages do not match",
    "contents is not specified",
    "image",
    "media type",
    "pdf page",
    "tool result",
    "tool id",
    "found in messages",
    "valid role",
    "at least one parts",
    "mime type",
    "content is empty",
    "message role",
    "message must",
    "message content",
    "content length must",
    "previous response",
    "content element",
    "'messages': array",
    "'input': array",
    "messages parameter",
    "messages 参数",
    "elements in history",
    "content field",
    "file content",
    "document file",
    "multimodal",
    "vision request",
    "vision-request",
    "audio input",
    "video input",
    "file input",
    "`arguments`",
    "function.arguments",
    "input item id",
    "required 'reasoning' item",
    "mimetype parameter",
    "could not process pdf",
    "password protected",
    "tool reference",
    "type mismatch of '/messages",
    "expected context stuffing",
    "value looks like object",
    "must have a text parameter",
];

/// Words of the same requests that are about the offered tools or parameters, not about the conversation.
pub(in super::super) const NOT_HISTORY: &[&str] = &[
    "tool_choice",
    "tool choice",
    "tools.",
    "tools[",
    "schema for function",
    "function_declarations",
    "image generation",
    "system message must be at",
    "parallel_tool_calls",
    "max_tool_calls",
    "unsupportedparams",
    "encrypted content is not supported",
    "content-type header",
    "supported task",
    "invalid url (post",
];

/// What a provider has forgotten of a conversation.
pub(in super::super) const ITEM_IS_GONE: &[&str] =
    &["item with id", "previous response", "previous_response"];

/// An item of a conversation that another connection made, with whatever status.
pub(in super::super) const HISTORY_OF_CONNECTION: &[&str] = &["does not belong to this connection"];

/// The answer that is asked for is too long, and not the conversation.
pub(in super::super) const OUTPUT_TOO_LONG: &[&str] = &[
    "max_completion_tokens must be less than",
    "model's maximum output tokens",
];

/// Words that mean the conversation whatever stands beside them: calls in it where no tools are offered.
pub(in super::super) const HISTORY_ALONE: &[&str] = &["without `tools=` param", "per assistant message"];

/// The messages of a conversation to which a server cannot apply the model's template, or whose pictures it cannot read.
pub(in super::super) const TEMPLATE: &[&str] = &[
    "must alternate",
    "image input is not supported",
    "failed to load image",
    "no user query found",
    "cannot pass both content and thinking",
    "failed to parse tool call arguments as json",
    "single tool-calls at once",
    "unable to convert openai tool calls",
];

/// What the AI SDK says of messages that it does not send to a provider.
pub(in super::super) const HISTORY_OF_SDK: &[&str] = &[
    "modelmessage",
    "missing for tool",
    "invalid prompt:",
    "messages must not be empty",
    "'file part media type",
    "'media type: ",
];

/// The place of the system prompt, which opencode makes anew in each run.
pub(in super::super) const SYSTEM_PROMPT: &[&str] = &["messages[0].role", "messages.0.role"];

/// The model called a tool in a way that the provider does not pass on.
pub(in super::super) const BAD_CALL: &[&str] = &[
    "failed_generation",
    "failed to call a function",
    "tool call validation failed",
    "error parsing tool call",
    "failed to parse tool call",
    "as part of tooluse",
    "xml syntax error",
    "expected element type <",
    "failed to parse input at pos",
];
