//! Whether an error is about the conversation: too long, or refused.

use super::super::provider_words as words;
use super::codes;
use super::said::Said;

impl Said<'_> {
    pub(super) fn is_overflow(&self) -> bool {
        let counts = self.says(&["exceeds the limit"]) && self.says(&["token"]) && self.status != Some(429);
        !matches!(self.status, Some(401..=403))
            && !self.says(words::OUTPUT_TOO_LONG)
            && (counts || self.says(words::OVERFLOW) || self.is_too_long())
    }

    /// The input is longer than something, in whatever words. The output, a name or a tool is not meant.
    pub(super) fn is_too_long(&self) -> bool {
        matches!(self.status, Some(400 | 422))
            && self.says(&["input", "prompt", "context", "messages"])
            && self.says(&["token", "length"])
            && self.says(words::TOO_LONG)
            && !self.says(words::NOT_THE_INPUT)
    }

    /// A server of one's own applies the model's template to the messages, and where it does not fit answers 500, or
    /// says so in its stream.
    pub(super) fn is_template(&self) -> bool {
        let is_refusal = self.status == Some(500) || self.status.is_none() && self.says(&["jinja"]);
        is_refusal && self.says(words::TEMPLATE)
    }

    /// The same request may succeed later. opencode says so of every 404 of OpenAI: of an item that is gone it is wrong.
    pub(super) fn may_pass(&self) -> bool {
        let is_item = self.status == Some(404) && self.says(words::ITEM_IS_GONE);
        let is_of_gateway = self.status != self.error.status;
        self.error.retryable == Some(true) && !is_item && !is_of_gateway && !self.is_template()
    }

    /// A message of the conversation is named by its place.
    pub(super) fn is_at_place(&self) -> bool {
        let lists = [
            "messages.",
            "messages.[",
            "messages[",
            "messages/",
            "input[",
            "contents[",
            "contents.",
            "'messages', ",
        ];
        let at_place = lists.iter().any(|list| {
            self.text.match_indices(list).any(|(at, _)| {
                let rest = self.text.get(at + list.len()..).unwrap_or_default();
                rest.starts_with(|c: char| c.is_ascii_digit())
            })
        });
        at_place && self.is_of_provider() && !self.may_pass() && !self.says(words::SYSTEM_PROMPT)
    }

    /// The messages of the conversation are named by their place, or by what is in them.
    pub(super) fn is_history(&self) -> bool {
        if self.may_pass() {
            return false;
        }
        if !self.is_of_provider() {
            // The AI SDK refuses them before a provider does.
            return self.says(words::HISTORY_OF_SDK) || self.is_template();
        }
        self.is_at_place()
            || self.is_template()
            || self.is_of_arguments()
            || self.says(words::HISTORY_ALONE)
            || self.says(words::HISTORY)
                && !self.says(words::NOT_HISTORY)
                && !self.lacks_tools()
                && !self.says(&["temporarily", "overloaded"])
                && !self.is_made_anew()
    }

    /// The system prompt or the offered tools are named as the place, which opencode makes anew in each run.
    fn is_made_anew(&self) -> bool {
        let places = ["system: ", "system.", "tools: "];
        let mut lines = self.text.lines().map(str::trim_start);
        lines.any(|line| places.iter().any(|place| line.starts_with(place)))
    }

    /// A server cannot read the arguments of a call in the conversation. A gateway says the same, with a status and a
    /// code of its own, or as its framework does, of an empty answer.
    pub(super) fn is_of_arguments(&self) -> bool {
        let is_empty = self.says(&["(char 0)"]);
        let is_of_request = matches!(self.status, Some(400 | 422)) && !self.answer.has(codes::OF_CLIENT);
        self.says(&[" (char "])
            && (!is_empty
                || self.answer.has(codes::OF_REQUEST)
                || is_of_request && !self.answer.is_of_handler)
    }

    /// The model has no tools at all, whatever the conversation holds.
    pub(super) fn lacks_tools(&self) -> bool {
        let of_messages = ["message", "result", "role", "image", "content"];
        self.says(&["tool", "function call"])
            && self.says(&["not support", "n't support", "unsupported"])
            && !self.says(&of_messages)
    }
}
