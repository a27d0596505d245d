//! What kind of failure an error of opencode's stream is. Status and code have the first word, then what the provider
//! says; a link says nothing. Pure.

use crate::opencode::RunError;

use super::provider_words as words;

mod answer_text;

use answer_text::{before_page, status_in, without_links};

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The conversation is too long.
    Overflow,
    /// A content filter.
    Filtered,
    /// Money or an allowance is used up.
    Quota,
    /// Too many requests at a time.
    RateLimited,
    /// The conversation itself is refused.
    History,
    /// The model called a tool in a way that the provider does not pass on.
    BadCall,
    /// The model is unknown.
    NoModel,
    /// The credentials.
    Auth,
    /// The provider, or the way to it.
    Away,
    /// The same, until somebody changes something: a certificate, a proxy.
    Misconfigured,
    /// The provider's stream broke off.
    BrokenStream,
    /// Refused for another reason.
    Rejected,
}

/// The kind of an error; none for what is no failure of a provider.
pub(super) fn kind(error: &RunError) -> Option<Kind> {
    let said = Said::of(error);
    if let Some(kind) = said.by_name() {
        return Some(kind);
    }
    // A plugin or a file may have any name: what it is called says nothing of a provider.
    if said.is_elsewhere(words::NAMED_LIKE_ONE) && !said.is_history() {
        return said.by_status();
    }
    let of_request = matches!(said.status, None | Some(400 | 404 | 409 | 413 | 422))
        || said.is_template()
        || said.says(words::HISTORY_OF_CONNECTION);
    let payload = said.status == Some(413) && !said.says(words::HISTORY);
    if payload || said.is_overflow() {
        return Some(Kind::Overflow);
    }
    if said.says(words::BAD_CALL) && said.status != Some(429) && !said.is_template() {
        return Some(Kind::BadCall);
    }
    if let Some(kind) = said.by_words() {
        return Some(kind);
    }
    if of_request && said.is_at_place() {
        return Some(Kind::History);
    }
    // A model may be named after what it does, such as with images; so may a service whose key is refused.
    if said.names_no_model_by_itself() {
        return Some(Kind::NoModel);
    }
    if of_request && said.says(words::KEY_REFUSED) {
        return Some(Kind::Auth);
    }
    if of_request && said.is_history() {
        return Some(Kind::History);
    }
    if said.names_no_model() {
        return Some(Kind::NoModel);
    }
    said.by_status()
}

struct Said<'a> {
    error: &'a RunError,
    /// Of the answer, or what a client says of it.
    status: Option<u16>,
    text: String,
    /// The answer is a web page: whose words those are nobody knows.
    is_page: bool,
}

impl<'a> Said<'a> {
    fn of(error: &'a RunError) -> Self {
        let parts = [
            Some(error.name.as_str()),
            Some(error.message.as_str()),
            error.body.as_deref(),
            error.reason.as_deref(),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().map(str::to_lowercase).collect();
        let status = error.status.or_else(|| status_in(&error.message));
        let is_page = parts.iter().any(|part| before_page(part).is_some());
        // Without a status the page is all there is.
        let words = parts.iter().map(|part| match before_page(part) {
            Some(before) if status.is_some() => before,
            _ => part.as_str(),
        });
        let text = without_links(&words.collect::<Vec<_>>().join("\n"));
        Self {
            error,
            status,
            text,
            is_page,
        }
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }

    /// The same, where a word in one of these phrases means nothing.
    fn says_beside(&self, words: &[&str], phrases: &[&str]) -> bool {
        let without = |text: String, phrase: &&str| text.replace(*phrase, "");
        let text = phrases.iter().fold(self.text.clone(), without);
        words.iter().any(|word| text.contains(word))
    }

    /// Errors that opencode itself has named, where the name leaves nothing open.
    fn by_name(&self) -> Option<Kind> {
        match self.error.name.as_str() {
            "ContextOverflowError" => Some(Kind::Overflow),
            "ContentFilterError" | "provider.content-filter" => Some(Kind::Filtered),
            "provider.quota" => Some(Kind::Quota),
            "provider.invalid-output" => Some(Kind::BrokenStream),
            _ => None,
        }
    }

    /// Whether opencode says that a request to a provider failed.
    fn is_of_provider(&self) -> bool {
        let name = self.error.name.as_str();
        let is_named = name.starts_with("provider.")
            || ["APIError", "ProviderAuthError", "AI_APICallError"].contains(&name);
        is_named || self.status.is_some()
    }

    /// A filter, a quota and a rate limit are told apart by their words, with whatever status they come.
    fn by_words(&self) -> Option<Kind> {
        let status = self.status;
        let is_limit = matches!(status, Some(402 | 429)) || self.error.name == "provider.rate-limit";
        if !is_limit && status != Some(401) && self.is_filtered() {
            return Some(Kind::Filtered);
        }
        // A gateway puts the name of its own error before the words of another one.
        let text = self
            .text
            .replace("ratelimiterror", "")
            .replace("rate_limit_error", "")
            .replace("quota project", "");
        let passes = words::TOO_FAST.iter().any(|word| text.contains(word));
        let is_server = status.is_some_and(|status| status >= 500);
        let no_money =
            !is_server && self.says(words::MONEY) && self.says(words::IS_GONE) && !self.says(&["balancer"]);
        let is_spent = self.says_beside(words::SPENT, words::NOT_SPENT) || no_money || status == Some(402);
        if is_spent {
            return Some(Kind::Quota);
        }
        let may_be_quota =
            is_limit || matches!(status, None | Some(403)) || self.text.contains("quota_exceeded");
        if may_be_quota && words::QUOTA.iter().any(|word| text.contains(word)) && !passes {
            return Some(Kind::Quota);
        }
        if is_limit && self.says(&["overloaded"]) {
            return Some(Kind::Away);
        }
        let of_limit = [
            "rate limit",
            "rate_limit",
            "ratelimit",
            "rate-limit",
            "throttl",
            "too many requests",
        ];
        let is_fast = status != Some(401) && !is_server && self.says(&of_limit);
        (is_limit || is_fast || status.is_none() && self.says(&["resource_exhausted"]))
            .then_some(Kind::RateLimited)
    }

    /// A filter, and not an account that may not use one, or a server that does not reach its own.
    fn is_filtered(&self) -> bool {
        self.says_beside(words::FILTERED, words::NOT_FILTERED)
    }

    /// No request to a provider is meant, but something that these words name.
    fn is_elsewhere(&self, words: &[&str]) -> bool {
        !self.is_of_provider() && self.says(words)
    }

    fn is_overflow(&self) -> bool {
        let counts = self.says(&["exceeds the limit"]) && self.says(&["token"]) && self.status != Some(429);
        !matches!(self.status, Some(401..=403))
            && !self.says(words::OUTPUT_TOO_LONG)
            && (counts || self.says(words::OVERFLOW) || self.is_too_long())
    }

    /// The input is longer than something, in whatever words. The output, a name or a tool is not meant.
    fn is_too_long(&self) -> bool {
        matches!(self.status, Some(400 | 422))
            && self.says(&["input", "prompt", "context", "messages"])
            && self.says(&["token", "length"])
            && self.says(words::TOO_LONG)
            && !self.says(words::NOT_THE_INPUT)
    }

    /// A server of one's own applies the model's template to the messages, and where it does not fit answers 500, or
    /// says so in its stream.
    fn is_template(&self) -> bool {
        let is_refusal = self.status == Some(500) || self.status.is_none() && self.says(&["jinja"]);
        is_refusal && self.says(words::TEMPLATE)
    }

    /// The same request may succeed later. opencode says so of every 404 of OpenAI: of an item that is gone it is wrong.
    fn may_pass(&self) -> bool {
        let is_item = self.status == Some(404) && self.says(words::ITEM_IS_GONE);
        self.error.retryable == Some(true) && !is_item && !self.is_template()
    }

    /// A message of the conversation is named by its place.
    fn is_at_place(&self) -> bool {
        let lists = [
            "messages.",
            "messages.[",
            "messages[",
            "input[",
            "contents[",
            "contents.",
            "\"messages\",",
            "\"messages\", ",
            "'messages',",
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
    fn is_history(&self) -> bool {
        if self.may_pass() {
            return false;
        }
        if !self.is_of_provider() {
            // The AI SDK refuses them before a provider does.
            return self.says(words::HISTORY_OF_SDK) || self.is_template();
        }
        self.is_at_place()
            || self.says(words::HISTORY_ALONE)
            || self.says(words::HISTORY) && !self.says(words::NOT_HISTORY)
    }

    /// Words or a code for an unknown model, or a 404 that says it of one.
    fn names_no_model_by_itself(&self) -> bool {
        let is_request = matches!(self.status, Some(400 | 404 | 422));
        let is_capability = self.says(words::CAPABILITY);
        is_request
            && !is_capability
            && (self.says(words::NO_MODEL)
                || self.status == Some(404)
                    && self.is_about_a_model(words::MODEL_IS)
                    && !self.says(&["item with id"]))
    }

    fn names_no_model(&self) -> bool {
        if self.status.is_some_and(|status| status >= 500 || status == 429) {
            return false;
        }
        let is_parameter = self.says(&[
            "parameter",
            "unsupported_value",
            "unsupported value",
            "tool",
            "image",
            "effort",
        ]);
        let names_model = self.text.contains("model") || self.text.contains("deployment");
        let is_gone = self.is_about_a_model(words::MODEL_IS) && !is_parameter;
        // Who may not do something is told that it may not exist, too.
        let is_denied = self.status == Some(403) && self.says(&["permission"]);
        self.says(words::NO_MODEL)
            || is_gone && self.status != Some(401) && !is_denied
            || self.status == Some(404) && names_model
            || self.error.name == "provider.no-route" && names_model
    }

    /// Whether a sentence names a model before one of these words: "x is not supported with this model" is about x.
    fn is_about_a_model(&self, words: &[&str]) -> bool {
        words
            .iter()
            .flat_map(|word| self.text.match_indices(word))
            .any(|(at, word)| {
                let after = self.text.get(at + word.len()..).unwrap_or_default();
                if [" for this model", " with this model"]
                    .iter()
                    .any(|model| after.starts_with(model))
                {
                    return false;
                }
                let before = self.text.get(..at).unwrap_or_default();
                let start = [". ", "\n", "{"]
                    .iter()
                    .filter_map(|end| before.rfind(end))
                    .max()
                    .unwrap_or(0);
                let sentence = before.get(start..).unwrap_or_default();
                sentence.contains("model") || sentence.contains("deployment")
            })
    }

    fn by_status(&self) -> Option<Kind> {
        let away = if self.says(words::MISCONFIGURED) {
            Kind::Misconfigured
        } else {
            Kind::Away
        };
        match self.status {
            Some(401) => Some(Kind::Auth),
            Some(403) if self.says(words::NOT_FROM_HERE) => Some(Kind::Rejected),
            // A page instead of an answer comes from something on the way.
            Some(403) if self.is_page => Some(Kind::Misconfigured),
            Some(403) => Some(Kind::Auth),
            Some(407) => Some(Kind::Misconfigured),
            Some(408 | 424 | 425 | 498 | 499 | 500..) => Some(Kind::Away),
            Some(400..499) if self.says(words::REFUSED_LOGIN) => Some(Kind::Auth),
            Some(400..499) if self.says(words::AWAY_OF_SERVER) => Some(Kind::Away),
            Some(400..499) => Some(Kind::Rejected),
            Some(_) | None => self.without_status(away),
        }
    }

    /// No answer, or an answer with a good status whose stream failed.
    fn without_status(&self, away: Kind) -> Option<Kind> {
        let name = self.error.name.as_str();
        let is_elsewhere = self.is_elsewhere(words::ELSEWHERE);
        // A plugin may be the one that logs in to a provider, and a file what it logs in with.
        let logs_in = self.says(&["plugin", "credential provider"]);
        let is_login = self.says(words::NO_LOGIN) && (!is_elsewhere || logs_in);
        if is_login || ["ProviderAuthError", "provider.auth", "provider.forbidden"].contains(&name) {
            return Some(Kind::Auth);
        }
        if self.says(words::BROKEN_STREAM) {
            return Some(Kind::BrokenStream);
        }
        let is_away = self.says(words::AWAY)
            || self.is_of_provider() && self.says(words::AWAY_OF_REQUEST)
            || self.error.message.trim_start_matches("TypeError: ") == "terminated";
        if is_away && !is_elsewhere {
            return Some(away);
        }
        match self.error.retryable {
            // opencode's log does not tell the status.
            _ if !self.is_of_provider() || name.starts_with("AI_") => None,
            Some(false) => Some(Kind::Rejected),
            _ if [
                "provider.invalid-request",
                "provider.unsupported-operation",
                "provider.config",
                "provider.no-route",
            ]
            .contains(&name) =>
            {
                Some(Kind::Rejected)
            }
            _ => Some(Kind::Away),
        }
    }
}

#[cfg(test)]
mod tests;
