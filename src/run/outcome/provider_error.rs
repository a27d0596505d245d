//! What kind of failure an error of opencode's stream is. The fields of the answer have the first word, then what the
//! provider says, then the status; a link says nothing. Pure.

use crate::opencode::RunError;

use super::provider_words as words;

mod answer;
mod answer_text;
mod codes;
mod conversation;
mod said;

use said::Said;

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
    if let Some(kind) = said.by_structure() {
        return Some(kind);
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
    if of_request && said.says(words::KEY_REFUSED) && !said.is_elsewhere(words::ELSEWHERE) {
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

impl Said<'_> {
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
        let is_server = status.is_some_and(|status| status == 408 || status >= 500);
        let no_money =
            !is_server && self.says(words::MONEY) && self.says(words::IS_GONE) && !self.says(&["balancer"]);
        let says_spent = !is_server && self.says_beside(words::SPENT, words::NOT_SPENT);
        let is_spent = says_spent || no_money || status == Some(402);
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
            "qps",
        ];
        let is_fast = status != Some(401) && !is_server && self.says(&of_limit);
        (is_limit || is_fast || status.is_none() && self.says(&["resource_exhausted"]))
            .then_some(Kind::RateLimited)
    }

    /// A filter, and not an account that may not use one, or a server that does not reach its own.
    fn is_filtered(&self) -> bool {
        self.says_beside(words::FILTERED, words::NOT_FILTERED)
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
            // A setting, whatever the server calls it.
            Some(500) if self.says(words::OUTPUT_TOO_LONG) => Some(Kind::Rejected),
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
        let logs_in = self.says_beside(&["plugin", "credential provider"], &["failed to load plugin"]);
        let is_login = self.says(words::NO_LOGIN) && (!is_elsewhere || logs_in);
        if is_login || ["ProviderAuthError", "provider.auth", "provider.forbidden"].contains(&name) {
            return Some(Kind::Auth);
        }
        if self.says(words::BROKEN_STREAM) {
            return Some(Kind::BrokenStream);
        }
        let is_away = self.says(words::AWAY)
            || self.answer.has(codes::AWAY)
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
