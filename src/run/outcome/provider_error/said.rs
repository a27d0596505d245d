//! An error as it is judged: its fields, its status, and its words without links, names of models, pages and what
//! repeats the request.

use crate::opencode::RunError;

use super::super::plain::before_page;
use super::super::provider_words as words;
use super::answer::Answer;
use super::answer_text::{status_by_name, status_in, without_links, without_model_names};
use super::{Kind, codes};

pub(super) struct Said<'a> {
    pub(super) error: &'a RunError,
    pub(super) answer: Answer,
    /// Of the provider's answer, as far as a gateway or a client tells it.
    pub(super) status: Option<u16>,
    pub(super) text: String,
    /// The answer is a web page: whose words those are nobody knows.
    pub(super) is_page: bool,
}

impl<'a> Said<'a> {
    pub(super) fn of(error: &'a RunError) -> Self {
        let outer = error.status.or_else(|| status_in(&error.message));
        let answer = Answer::of(error);
        let parts = [
            Some(error.name.as_str()),
            Some(error.message.as_str()),
            Some(answer.body.as_str()),
            error.reason.as_deref(),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().map(str::to_lowercase).collect();
        let is_page = parts.iter().any(|part| before_page(part).is_some());
        // Without a status the page is all there is.
        let words = parts.iter().map(|part| match before_page(part) {
            Some(before) if outer.is_some() => before,
            _ => part.as_str(),
        });
        let text = without_model_names(&without_links(&words.collect::<Vec<_>>().join("\n")));
        let mut said = Self {
            error,
            answer,
            status: outer,
            text,
            is_page,
        };
        // A plugin or a command may have got an answer as well.
        if said.is_elsewhere(words::NAMED_LIKE_ONE) || said.is_elsewhere(words::ELSEWHERE) {
            said.answer = Answer::default();
        }
        // A gateway puts a status of its own around the provider's.
        if matches!(outer, None | Some(..=400 | 500..)) {
            let in_words = || status_by_name(&error.message).filter(|_| outer.is_some());
            said.status = said.answer.status.or_else(in_words).or(outer);
        }
        said
    }

    pub(super) fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.contains(word))
    }

    /// The same, where a word in one of these phrases means nothing.
    pub(super) fn says_beside(&self, words: &[&str], phrases: &[&str]) -> bool {
        let without = |text: String, phrase: &&str| text.replace(*phrase, "");
        let text = phrases.iter().fold(self.text.clone(), without);
        words.iter().any(|word| text.contains(word))
    }

    /// Errors that opencode itself has named, where the name leaves nothing open.
    pub(super) fn by_name(&self) -> Option<Kind> {
        match self.error.name.as_str() {
            "ContextOverflowError" => Some(Kind::Overflow),
            "ContentFilterError" | "provider.content-filter" => Some(Kind::Filtered),
            "provider.quota" => Some(Kind::Quota),
            "provider.invalid-output" => Some(Kind::BrokenStream),
            _ => None,
        }
    }

    /// Codes, and the parameter that is refused, mean the same whatever stands beside them.
    pub(super) fn by_structure(&self) -> Option<Kind> {
        let by_code = codes::CODES.iter().find(|(_, codes)| self.answer.has(codes));
        let by_code = by_code.map(|(kind, _)| *kind);
        // A model may lack what a message of the conversation has.
        let is_capability = by_code == Some(Kind::NoModel) && self.says(words::CAPABILITY);
        match (by_code.filter(|_| !is_capability), self.by_param()) {
            // A text may be too long that is not the conversation's.
            (Some(Kind::Overflow) | None, by_param @ Some(_)) => by_param,
            (by_code, _) => by_code,
        }
    }

    pub(super) fn by_param(&self) -> Option<Kind> {
        if !matches!(self.status, Some(400 | 404 | 409 | 413 | 422)) {
            return None;
        }
        let params = self.answer.params.iter();
        params.map(String::as_str).find_map(|param| {
            let root = param.split(['.', '[', ' ']).next().unwrap_or_default();
            let place = param
                .get(root.len()..)
                .unwrap_or_default()
                .trim_start_matches(['.', '[']);
            let is_at_place =
                codes::CONVERSATION.contains(&root) && place.starts_with(|c: char| c.is_ascii_digit());
            if is_at_place && !words::SYSTEM_PROMPT.contains(&param) {
                return Some(Kind::History);
            }
            if root == "model" {
                return Some(Kind::NoModel);
            }
            let is_setting = codes::SETTINGS.contains(&root) || self.answer.has(codes::OF_PARAMETER);
            is_setting.then_some(Kind::Rejected)
        })
    }

    /// Whether opencode says that a request to a provider failed.
    pub(super) fn is_of_provider(&self) -> bool {
        let name = self.error.name.as_str();
        let is_named = name.starts_with("provider.")
            || ["APIError", "ProviderAuthError", "AI_APICallError"].contains(&name);
        is_named || self.status.is_some()
    }

    /// No request to a provider is meant, but something that these words name.
    pub(super) fn is_elsewhere(&self, words: &[&str]) -> bool {
        !self.is_of_provider() && self.says(words)
    }
}
