//! What a fold of the stream gives, as plain data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::progress::{Circle, LastStep};
use super::run_error::RunError;

/// Tokens, summed over the steps of a run. No event counts those of title requests, sub-agents and failed attempts.
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

/// A tool call that ended with `status: "error"`. The model saw the error; it is none of the run.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct ToolError {
    /// Name of the tool.
    pub tool: String,
    /// opencode's text.
    pub error: String,
}

/// The `done` line of other opencode releases.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct DoneLine {
    /// Why the run ended (`idle`).
    pub reason: String,
    /// Permissions that were asked for and rejected.
    pub rejected: Vec<String>,
}

/// The result of a fold, see [`super::Transcript`]. All strings and lists are bounded.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Session of the run: the first that the stream names. What other sessions say and how they end does not count;
    /// their tokens do.
    pub session_id: Option<String>,
    /// The text of the last message that has any, without synthetic and compaction text.
    pub answer: String,
    /// A text whose line was cut off, as far as it could be read.
    pub cut_text: Option<String>,
    /// The last summary that compaction wrote into the history.
    pub compaction: Option<String>,
    /// How often the conversation was compacted.
    pub compactions: u64,
    /// How many texts opencode wrote itself ("Continue if you have next steps…").
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
    /// Messages: how often the message id changed.
    pub messages: u64,
    /// Reason of the last finished step: `stop`, `tool-calls`, `length`, `content-filter`, `unknown`.
    pub last_reason: Option<String>,
    /// A step was begun and not finished.
    pub open_step: bool,
    /// The stream ends with a finished `stop` step: no error, no new step and no synthetic text came after it.
    pub clean_stop: bool,
    /// An old `max_turns`, `max_steps` or `step_limit` reason was seen.
    pub step_limit: bool,
    /// Tool calls that ended, with whatever status.
    pub tool_calls: u64,
    /// How many tool calls failed.
    pub tool_error_count: u64,
    /// The last of the failed tool calls.
    pub tool_errors: Vec<ToolError>,
    /// Tools whose permission was rejected in the last step of the stream.
    pub rejected_tools: Vec<String>,
    /// How many `error` lines there are; equal ones in a row count once.
    pub error_count: u64,
    /// The last of the errors; equal ones in a row once.
    pub errors: Vec<RunError>,
    /// How many of the last errors nothing made good that came after them.
    pub unrecovered: usize,
    /// A step began after the last of them, and has given nothing yet.
    pub tries_again: bool,
    /// Reasoning lines.
    pub reasoning_texts: u64,
    /// The `done` line.
    pub done: Option<DoneLine>,
    /// Event types that are not known here, with their counts.
    pub unknown_types: BTreeMap<String, u64>,
    /// Lines that were not blank.
    pub lines: u64,
    /// JSON objects among them.
    pub events: u64,
    /// Lines that begin like an object and are none.
    pub broken_lines: u64,
    /// The last short lines that are no events.
    pub stray_lines: Vec<String>,
    /// opencode says, on stdout, that it has no such session.
    pub session_lost: bool,
    /// The run repeats itself without getting on.
    pub circle: Option<Circle>,
    /// What the last step gave.
    pub last_step: LastStep,
    /// The stream ends inside a line that cannot be read.
    pub cut_last_line: bool,
}

impl Summary {
    /// Whether the model gave anything: text or output tokens.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.answer.is_empty() || self.tokens.output + self.tokens.reasoning > 0.0
    }

    /// The last error, also one that the run recovered from.
    #[must_use]
    pub fn last_error(&self) -> Option<&RunError> {
        self.errors.last()
    }

    /// The errors that the run did not recover from.
    #[must_use]
    pub fn unrecovered_errors(&self) -> &[RunError] {
        let from = self.errors.len().saturating_sub(self.unrecovered);
        self.errors.get(from..).unwrap_or_default()
    }

    /// Whether permissions were rejected in the last step.
    #[must_use]
    pub fn rejected_at_end(&self) -> bool {
        !self.rejected_tools.is_empty() || self.done.as_ref().is_some_and(|done| !done.rejected.is_empty())
    }
}
