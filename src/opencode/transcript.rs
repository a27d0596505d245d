//! The fold over the lines of a stream. It keeps sums and bounded excerpts, never the log.

use super::activity::{Activity, LastEvent};
use super::bounded::{self, LastFew, Messages};
use super::escapes::without_escapes;
use super::event::{Event, ParsedLine, Part, js_trim};
use super::last_errors::{ErrorHead, LastErrors};
use super::open_errors::OpenErrors;
use super::progress::{Circle, Progress};
use super::run_error::RunError;
use super::session::says_session_lost;
use super::small::SmallValue;
use super::spread::Spread;
use super::summary::{DoneLine, Summary, Tokens, ToolError};
use crate::ids::is_id;

/// Bytes of a name, id or reason that are kept.
const NAME_BYTES: usize = 256;
/// Bytes of an error text that are kept.
const ERROR_BYTES: usize = 4 * 1024;
/// How many tool errors and stray lines are kept, the last ones.
const MAX_KEPT: usize = 16;

/// Folds opencode's JSONL stream line by line in constant memory.
///
/// Lines may hold anything. Give whole lines to [`push_line`](Self::push_line), the rest after the last newline to
/// [`push_cut`](Self::push_cut), and ask for the [`Summary`] at any time.
#[derive(Debug, Default, Clone)]
pub struct Transcript {
    sum: Summary,
    messages: Messages,
    tool_errors: LastFew<ToolError>,
    errors: LastErrors,
    stray: LastFew<String>,
    /// Message of the last finished step.
    finished: Option<String>,
    /// An error, or a text that asks for more, came after the last finished step.
    disturbed: bool,
    open: OpenErrors,
    last: LastEvent,
    activity: Activity,
    progress: Progress,
    spread: Spread,
    /// The session of the last event, where it is another one than the run's.
    elsewhere: Option<String>,
}

impl Transcript {
    /// A transcript of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds one whole line, without its newline.
    pub fn push_line(&mut self, line: &str) {
        self.push_piece(line, false);
    }

    /// Folds the rest after the last newline. A complete object there counts as a line.
    pub fn push_cut(&mut self, tail: &str) {
        self.push_piece(tail, true);
    }

    /// Folds a line, or with `is_tail` what is left of one.
    pub(super) fn push_piece(&mut self, line: &str, is_tail: bool) {
        let mut spread = std::mem::take(&mut self.spread);
        spread.each(line, is_tail, |text, read| self.push(text, read, is_tail));
        self.spread = spread;
    }

    pub(crate) fn push(&mut self, text: &str, read: ParsedLine<'_>, is_tail: bool) {
        match read {
            ParsedLine::Blank => {}
            ParsedLine::Other => self.stray(text),
            ParsedLine::Broken if is_tail => self.cut(text),
            ParsedLine::Broken => self.broken(),
            ParsedLine::Event(event) => self.fold(&event),
            ParsedLine::ToolDone { session, tool } => self.tool_ended(session, tool, None),
            ParsedLine::ToolFailed { session, tool, error } => self.tool_ended(session, tool, Some(&error)),
            ParsedLine::StepStart { session, message } => self.step_started(session, message),
            ParsedLine::Error { session, head } => self.error_line(session, head, text),
        }
    }

    /// What the agent does, by its last lines.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// What the last event is.
    #[must_use]
    pub fn last_event(&self) -> LastEvent {
        self.last
    }

    /// The circle that the run is in beyond doubt, while it is on.
    #[must_use]
    pub fn circle_now(&self) -> Option<Circle> {
        self.progress.circle_now()
    }

    /// The session of the last event that named one, which may be another one than the run's.
    pub(super) fn last_session(&self) -> Option<&str> {
        self.elsewhere.as_deref().or(self.sum.session_id.as_deref())
    }

    /// What is known so far.
    #[must_use]
    pub fn snapshot(&self) -> Summary {
        let mut sum = self.sum.clone();
        sum.answer = self.messages.answer();
        sum.compaction = self.messages.compaction();
        sum.messages = self.messages.count();
        sum.tool_errors = self.tool_errors.to_vec();
        sum.errors = self.errors.to_vec();
        sum.stray_lines = self.stray.to_vec();
        sum.lines += u64::from(self.spread.is_open());
        sum.circle = self.progress.circle();
        sum.last_step = self.progress.last_step();
        sum.clean_stop = sum.last_reason.as_deref() == Some("stop")
            && !sum.open_step
            && !self.disturbed
            && !sum.cut_last_line;
        sum.unrecovered = match sum.clean_stop {
            true => 0,
            false => self.open.count().min(sum.errors.len()),
        };
        sum.tries_again = sum.unrecovered > 0 && self.open.began_again();
        sum
    }

    /// The result for the whole stream. The same as [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn finish(&self) -> Summary {
        self.snapshot()
    }

    fn stray(&mut self, line: &str) {
        let line = without_escapes(bounded::prefix(line, ERROR_BYTES));
        let line = js_trim(&line);
        if line.is_empty() {
            return;
        }
        self.sum.lines += 1;
        if !line.starts_with("[paperclip]") {
            self.sum.session_lost |= says_session_lost(line);
            self.stray.push(bounded::head(line, 2 * NAME_BYTES), MAX_KEPT);
        }
    }

    fn broken(&mut self) {
        self.sum.lines += 1;
        self.sum.broken_lines += 1;
    }

    fn cut(&mut self, tail: &str) {
        self.sum.lines += 1;
        self.sum.cut_last_line = true;
        self.sum.cut_text = bounded::salvage_text(tail);
    }

    fn tool_ended(&mut self, session: &str, tool: &str, error: Option<&str>) {
        self.last = LastEvent::ToolCall;
        if self.event_of(session) {
            self.tool_use(tool, error);
        } else {
            self.activity.uses(tool);
        }
    }

    fn step_started(&mut self, session: &str, message: &str) {
        if self.event_of(session) {
            self.step_start(message);
        }
    }

    /// Counts a line that is an event of this session; whether it is the run's, which is the first. What another one,
    /// such as a sub-agent's, says and how it ends is none of the run's answer and end.
    fn event_of(&mut self, session: &str) -> bool {
        self.sum.lines += 1;
        self.sum.events += 1;
        let id = js_trim(session);
        // Nearly every event names the same session, whose id was checked the first time.
        if self.sum.session_id.as_deref() == Some(id) {
            self.elsewhere = None;
            return true;
        }
        if !is_id(id) {
            return true;
        }
        let Some(own) = &self.sum.session_id else {
            self.sum.session_id = Some(id.to_owned());
            return true;
        };
        self.elsewhere = Some(id.to_owned());
        // Other programs, whose ids look otherwise, have no sub-agents.
        ![own.as_str(), id].iter().all(|id| id.starts_with("ses_"))
    }

    fn fold(&mut self, event: &Event<'_>) {
        let is_own = self.event_of(event.session.as_str());
        self.last = match event.kind.as_str() {
            "step_finish" => LastEvent::StepFinished,
            "text" | "reasoning" => LastEvent::Text,
            "tool_use" => LastEvent::ToolCall,
            "error" => LastEvent::Error,
            _ => self.last,
        };
        if !is_own {
            if event.kind.as_str() == "step_finish" {
                self.pay(&event.part);
            }
            return;
        }
        match event.kind.as_str() {
            "step_start" => self.step_start(event.part.message_id.as_str()),
            "step_finish" => self.step_finish(&event.part),
            "text" => self.text(&event.part),
            "tool_use" => {
                let state = &event.part.state;
                let error = (state.status.as_str() == "error").then_some(state.error.as_str());
                self.tool_use(event.part.tool.as_str(), error);
            }
            "reasoning" => self.sum.reasoning_texts += 1,
            "error" => self.error(RunError::read(event.error_value())),
            "done" => self.done(event),
            other => bounded::count(&mut self.sum.unknown_types, other),
        }
    }

    fn step_start(&mut self, message: &str) {
        let message = bounded::prefix(message, NAME_BYTES);
        self.last = LastEvent::StepStarted;
        self.messages.enter(message);
        self.progress.step_started(message);
        self.open.step_started();
        self.sum.steps_started += 1;
        self.sum.open_step = true;
        self.sum.rejected_tools.clear();
    }

    fn step_finish(&mut self, part: &Part<'_>) {
        let message = bounded::prefix(part.message_id.as_str(), NAME_BYTES);
        self.messages.say(message, part.message.as_str());
        self.sum.last_step_tokens = self.pay(part);
        self.sum.steps_finished += 1;
        self.sum.open_step = false;
        self.sum.last_reason = Some(bounded::head(part.reason.as_str(), NAME_BYTES));
        self.finished = Some(message.to_owned());
        self.disturbed = false;
        if ["stop", "tool-calls", "length"].contains(&part.reason.as_str()) {
            self.open.got_on();
        }
        if self.progress.step_finished(part.reason.as_str()) {
            // The agent had answered and was asked to go on, but did nothing since: its answer stands.
            self.messages.put_off(message);
        }
    }

    /// Adds what a step took, of whatever session.
    fn pay(&mut self, part: &Part<'_>) -> Tokens {
        let step = Tokens {
            input: part.tokens.input.0,
            output: part.tokens.output.0,
            reasoning: part.tokens.reasoning.0,
            cache_read: part.tokens.cache.read.0,
            cache_write: part.tokens.cache.write.0,
        };
        self.sum.tokens.add(&step);
        self.sum.cost_usd += part.cost.0;
        self.sum.step_limit |= is_step_limit_reason(part.reason.as_str());
        step
    }

    fn text(&mut self, part: &Part<'_>) {
        if part.synthetic.0 {
            self.sum.synthetic_texts += 1;
            if self.sum.last_reason.as_deref() == Some("stop") && !self.sum.open_step {
                self.demote();
                self.disturbed = true;
            }
            return;
        }
        let message = bounded::prefix(part.message_id.as_str(), NAME_BYTES);
        self.messages.say(message, part.text.as_str());
        if !js_trim(part.text.as_str()).is_empty() {
            self.progress.spoke();
            self.open.got_on();
        }
        self.activity.says(part.text.as_str());
    }

    fn tool_use(&mut self, tool: &str, error: Option<&str>) {
        self.sum.tool_calls += 1;
        self.activity.uses(tool);
        self.progress.used_tool();
        self.open.got_on();
        let Some(error) = error else { return };
        let tool = bounded::head(tool, NAME_BYTES);
        let error = bounded::head(js_trim(error), ERROR_BYTES);
        if is_rejection(&error) && self.sum.rejected_tools.len() < MAX_KEPT {
            self.sum.rejected_tools.push(tool.clone());
        }
        self.sum.tool_error_count += 1;
        self.tool_errors.push(ToolError { tool, error }, MAX_KEPT);
    }

    fn error(&mut self, error: RunError) {
        let overflows = is_overflow(&error.name, error.reason.as_deref());
        if self.failed(error.head(), overflows) {
            self.errors.push(error);
        }
    }

    fn error_line(&mut self, session: &str, error: ErrorHead<'_>, line: &str) {
        self.last = LastEvent::Error;
        if !self.event_of(session) {
            return;
        }
        if self.failed(error, is_overflow(error.name, None)) {
            self.errors.push_line(error, line);
        }
    }

    /// Takes in an error; whether it is another one than the last. `overflows`: the conversation is too long.
    fn failed(&mut self, error: ErrorHead<'_>, overflows: bool) -> bool {
        self.disturbed = true;
        let repeats = self.errors.repeats(error);
        self.open.failed(repeats);
        if overflows {
            self.progress.overflowed();
        }
        if !repeats {
            self.sum.session_lost |= error.status.is_none() && error_says_session_lost(error);
            self.sum.error_count += 1;
        }
        !repeats
    }

    fn done(&mut self, event: &Event<'_>) {
        let rejected = event
            .rejected
            .items()
            .iter()
            .filter_map(SmallValue::as_str)
            .take(MAX_KEPT)
            .map(|name| bounded::head(name, NAME_BYTES));
        self.sum.done = Some(DoneLine {
            reason: bounded::head(event.reason.as_str(), NAME_BYTES),
            rejected: rejected.collect(),
        });
    }

    /// The message of the last finished step is no answer: compaction wrote it into the history.
    fn demote(&mut self) {
        self.progress.compacted();
        self.open.compacted();
        self.sum.compactions += 1;
        if let Some(message) = self.finished.take() {
            self.messages.demote(&message);
        }
    }
}

/// Whether opencode says that a permission was rejected, or a question not answered: either ends a run.
pub(crate) fn is_rejection(text: &str) -> bool {
    // V2 names the permission; a tool that the system refused something names a path.
    let of_v2 = text.strip_prefix("Permission denied: ").is_some_and(|rule| {
        let name = rule.split([' ', '(']).next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    });
    of_v2 || text.contains("rejected permission") || text.contains("dismissed this question")
}

/// The reasons by which old releases marked their step limit.
fn is_step_limit_reason(reason: &str) -> bool {
    ["max_turns", "max_steps", "step_limit"]
        .iter()
        .any(|limit| reason.eq_ignore_ascii_case(limit))
}

/// Whether the conversation is too long: by the error's name, or by V2's reason.
fn is_overflow(name: &str, reason: Option<&str>) -> bool {
    name == "ContextOverflowError" || reason.is_some_and(|reason| reason.contains("context-overflow"))
}

fn error_says_session_lost(error: ErrorHead<'_>) -> bool {
    ["session.not-found", "SessionNotFoundError"].contains(&error.name) || says_session_lost(error.message)
}

#[cfg(test)]
mod tests;
