//! What a folded stream says, as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

/// Tokens, summed over the steps of a run. Title requests, sub-agents and failed attempts are in no event.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// Input that was neither read from nor written to a cache.
    pub input: f64,
    /// Output without reasoning.
    pub output: f64,
    /// Reasoning.
    pub reasoning: f64,
    /// Input read from the provider's cache.
    pub cache_read: f64,
    /// Input written to the provider's cache.
    pub cache_write: f64,
}

impl Tokens {
    pub(crate) fn add(&mut self, other: &Tokens) {
        self.input += other.input;
        self.output += other.output;
        self.reasoning += other.reasoning;
        self.cache_read += other.cache_read;
        self.cache_write += other.cache_write;
    }
}

/// A tool call that ended with `status: "error"`. The model saw it; it is not an error of the run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct ToolError {
    /// Name of the tool.
    pub tool: String,
    /// opencode's text.
    pub error: String,
}

/// An `error` line.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// `APIError`, `ContextOverflowError`, `UnknownError`, …; empty when the line had none.
    pub name: String,
    /// The human part.
    pub message: String,
    /// HTTP status of the provider's answer; none for connection errors.
    pub status: Option<u16>,
    /// What opencode says about trying again. A line with `true` comes after its own retries.
    pub retryable: Option<bool>,
    /// Host of the provider's URL.
    pub host: Option<String>,
    /// Beginning of the provider's answer.
    pub body: Option<String>,
    /// `err_…`: the same error in opencode's own log says what happened.
    pub reference: Option<String>,
}

/// The `done` line of other opencode releases.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Why the run ended (`idle`).
    pub reason: String,
    /// Permissions that were asked for and rejected.
    pub rejected: Vec<String>,
}

/// Everything the fold knows; see [`super::Transcript`]. All strings and lists are bounded.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Session id of the last line that had one.
    pub session_id: Option<String>,
    /// What the agent said last: the text of the last message that has any, without synthetic and compaction text.
    pub answer: String,
    /// What could be read of a text whose line was cut off.
    pub cut_text: Option<String>,
    /// The summary that compaction wrote into the history.
    pub compaction: Option<String>,
    /// Texts that opencode wrote itself ("Continue if you have next steps…"): how many.
    pub synthetic_texts: u64,
    /// Sum over all steps.
    pub tokens: Tokens,
    /// The last step alone: its input and cache are the size of the context.
    pub last_step_tokens: Tokens,
    /// Sum of the steps' costs in USD.
    pub cost_usd: f64,
    /// Steps begun.
    pub steps_started: u64,
    /// Steps finished.
    pub steps_finished: u64,
    /// Distinct messages, as far as they follow each other.
    pub messages: u64,
    /// Reason of the last finished step: `stop`, `tool-calls`, `length`, `content-filter`, `unknown`.
    pub last_reason: Option<String>,
    /// A step was begun and not finished.
    pub open_step: bool,
    /// The stream ends on a finished `stop` step that is really the end: no error, no new step, no synthetic text after it.
    pub clean_stop: bool,
    /// An old `max_turns`, `max_steps` or `step_limit` reason was seen.
    pub step_limit: bool,
    /// Tool calls that ended, by whatever status.
    pub tool_calls: u64,
    /// Failed tool calls: how many.
    pub tool_error_count: u64,
    /// The last of the failed tool calls.
    pub tool_errors: Vec<ToolError>,
    /// Tools whose permission was asked for and rejected in the last step that the stream shows.
    pub rejected_tools: Vec<String>,
    /// `error` lines: how many, equal neighbours counted once.
    pub error_count: u64,
    /// The last of the errors, equal neighbours once.
    pub errors: Vec<RunError>,
    /// Errors after which no step ended in a clean stop.
    pub unrecovered: bool,
    /// Reasoning lines.
    pub reasoning_texts: u64,
    /// The `done` line.
    pub done: Option<Done>,
    /// Types no opencode we know prints, with their counts.
    pub unknown_types: BTreeMap<String, u64>,
    /// Lines that were not blank.
    pub lines: u64,
    /// JSON objects among them.
    pub events: u64,
    /// Lines that begin like an object and are none.
    pub broken_lines: u64,
    /// The last lines that are not from the stream, as far as they are short.
    pub stray_lines: Vec<String>,
    /// A stray line or an error says that the session is unknown.
    pub unknown_session: bool,
    /// The stream ended inside a line that cannot be read.
    pub cut_last_line: bool,
}

impl Summary {
    /// Whether the model gave anything: text or output tokens.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.answer.is_empty() || self.tokens.output + self.tokens.reasoning > 0.0
    }

    /// The error a person would name: the last one.
    #[must_use]
    pub fn last_error(&self) -> Option<&RunError> {
        self.errors.last()
    }

    /// Permissions were rejected where the stream ends.
    #[must_use]
    pub fn rejected_at_end(&self) -> bool {
        !self.rejected_tools.is_empty() || self.done.as_ref().is_some_and(|done| !done.rejected.is_empty())
    }
}
