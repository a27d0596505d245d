//! Notices a run that goes on without getting on, and what its last step gave. Pure.

use serde::Serialize;

/// Overflows, or compactions, with no tool call between them, that make a circle. opencode compacts once, and then the
/// request fits; where it does not, opencode tries without an end.
const MIN_COMPACTIONS: u64 = 3;
/// The same while the run is on, when more may still come.
const MIN_COMPACTIONS_LIVE: u64 = 6;
/// Compactions in a row with one step of work, or none, between them, tool calls or not: what is kept is too long
/// already. After one that helps, opencode works for many steps.
const MIN_COMPACTIONS_EACH_STEP: u64 = 25;
/// Steps that finish from one such compaction to the next: the work, and the summary itself.
const STEPS_BETWEEN: u64 = 2;
/// Steps without a tool call, a text and a known reason.
const MIN_EMPTY_STEPS: u64 = 25;
/// Final answers without a tool call between them.
const MIN_ANSWERS: u64 = 25;

/// A run that repeats itself. opencode knows no limit for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Circle {
    /// It compacts the conversation, and the next request is too long again.
    Compaction(u64),
    /// The provider's answers end without a reason, and it asks again.
    NoAnswer(u64),
    /// The agent has answered, and is asked to go on.
    Answered(u64),
}

/// What the last step of a stream gave.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastStep {
    /// A text for people.
    pub spoke: bool,
    /// A tool call.
    pub used_tool: bool,
}

/// Counts what came since the last tool call.
#[derive(Debug, Default, Clone)]
pub(crate) struct Progress {
    last: LastStep,
    message: String,
    overflows: u64,
    compactions: u64,
    empty_steps: u64,
    answers: u64,
    /// Compactions in a row with hardly a step between them.
    each_step: u64,
    /// Steps that finished since the last compaction.
    steps_since: u64,
}

impl Progress {
    pub(crate) fn step_started(&mut self, message: &str) {
        if self.message != message || message.is_empty() {
            message.clone_into(&mut self.message);
            self.last = LastStep::default();
        }
    }

    pub(crate) fn spoke(&mut self) {
        self.last.spoke = true;
        self.empty_steps = 0;
    }

    pub(crate) fn used_tool(&mut self) {
        self.last.used_tool = true;
        (self.overflows, self.compactions) = (0, 0);
        (self.empty_steps, self.answers) = (0, 0);
    }

    /// Whether this step was an answer after which nothing was done since the one before.
    pub(crate) fn step_finished(&mut self, reason: &str) -> bool {
        self.steps_since += 1;
        if reason == "stop" {
            self.answers += 1;
            return self.answers > 1;
        }
        if !self.last.spoke && !self.last.used_tool {
            self.empty_steps += 1;
        }
        false
    }

    pub(crate) fn overflowed(&mut self) {
        self.overflows += 1;
    }

    /// The answer before was a summary for the history.
    pub(crate) fn compacted(&mut self) {
        self.compactions += 1;
        self.answers = 0;
        let is_soon = self.steps_since <= STEPS_BETWEEN;
        self.each_step = if is_soon { self.each_step + 1 } else { 1 };
        self.steps_since = 0;
    }

    pub(crate) fn last_step(&self) -> LastStep {
        self.last
    }

    /// The circle that the run is in, judged when it has ended.
    pub(crate) fn circle(&self) -> Option<Circle> {
        self.circle_of(MIN_COMPACTIONS)
    }

    /// The circle that the run is in while it is on: beyond doubt.
    pub(crate) fn circle_now(&self) -> Option<Circle> {
        self.circle_of(MIN_COMPACTIONS_LIVE)
    }

    fn circle_of(&self, compactions: u64) -> Option<Circle> {
        let repeated = self.overflows.max(self.compactions);
        let is_at_each_step =
            self.each_step >= MIN_COMPACTIONS_EACH_STEP && self.steps_since <= STEPS_BETWEEN;
        if repeated >= compactions {
            Some(Circle::Compaction(repeated))
        } else if is_at_each_step {
            Some(Circle::Compaction(self.each_step))
        } else if self.empty_steps >= MIN_EMPTY_STEPS {
            Some(Circle::NoAnswer(self.empty_steps))
        } else if self.answers >= MIN_ANSWERS {
            Some(Circle::Answered(self.answers))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_call_is_progress() {
        let mut progress = Progress::default();
        for _ in 0..100 {
            progress.overflowed();
            progress.step_finished("stop");
            progress.compacted();
            assert_eq!(progress.circle(), None);
            progress.used_tool();
            progress.step_finished("tool-calls");
            progress.step_finished("tool-calls");
        }
        for _ in 0..5 {
            progress.overflowed();
            progress.compacted();
        }
        assert_eq!(
            (progress.circle(), progress.circle_now()),
            (Some(Circle::Compaction(5)), None)
        );
        progress.overflowed();
        assert_eq!(progress.circle_now(), Some(Circle::Compaction(6)));
    }

    #[test]
    fn one_tool_call_after_each_compaction_for_ever_is_a_circle() {
        let mut progress = Progress::default();
        let mut cycle = || {
            progress.used_tool();
            progress.step_finished("tool-calls");
            progress.step_finished("stop");
            progress.compacted();
            progress.circle_now()
        };
        assert!((1..MIN_COMPACTIONS_EACH_STEP).all(|_| cycle().is_none()));
        assert_eq!(cycle(), Some(Circle::Compaction(MIN_COMPACTIONS_EACH_STEP)));
        for _ in 0..=STEPS_BETWEEN {
            progress.step_finished("tool-calls");
        }
        assert_eq!(progress.circle_now(), None, "it got on");
    }

    #[test]
    fn steps_that_give_nothing_and_answers_without_an_end() {
        let mut progress = Progress::default();
        for message in 0..MIN_EMPTY_STEPS {
            assert_eq!(progress.circle(), None);
            progress.step_started(&message.to_string());
            progress.step_finished("unknown");
        }
        assert_eq!(progress.circle(), Some(Circle::NoAnswer(MIN_EMPTY_STEPS)));
        let mut progress = Progress::default();
        assert!(!progress.step_finished("stop"), "the answer itself");
        assert!((1..MIN_ANSWERS).all(|_| progress.step_finished("stop")));
        assert_eq!(progress.circle(), Some(Circle::Answered(MIN_ANSWERS)));
    }

    #[test]
    fn a_text_belongs_to_the_step_of_its_message() {
        let mut progress = Progress::default();
        progress.step_started("m1");
        progress.spoke();
        progress.step_started("m1");
        assert!(progress.last_step().spoke, "a repeated attempt");
        progress.step_started("m2");
        assert!(!progress.last_step().spoke);
    }
}
