//! An agent that prints nothing for so long that nobody waits for it any more.

use tokio::time::Instant;

use super::{Stage, Step, Watch};
use crate::run::job::end::Cause;
use crate::run::supervise::facts::{Ask, Facts};
use crate::run::timing::LOG_ANSWERS;

/// What the silence of an agent is measured by.
#[derive(Debug, Default)]
pub(super) struct SilenceClocks {
    /// Since when its container runs.
    running_since: Option<Instant>,
    /// Since when its log could be read, each time it was asked.
    log_answers_since: Option<Instant>,
}

impl Watch {
    /// The silence of an agent that runs, for longer than `silenceTimeoutSec`. Before it counts, the log has to be
    /// readable for a while: what was printed on a volume that hangs, or is not there any more, nobody knows.
    pub(super) fn silent(&mut self, facts: &Facts, step: &mut Step) -> Option<Cause> {
        let limit = self.run.limits.silence?;
        let is_seen = facts.view.unreachable_since.is_none()
            && facts.view.pods_stale_since.is_none()
            && facts.job.is_some()
            && self.suspended_at.is_none();
        if !is_seen || !matches!(self.stage, Stage::Running) {
            self.silence = SilenceClocks::default();
            return None;
        }
        // The time before, in a queue or with an image, is no silence of the agent.
        let running_since = *self.silence.running_since.get_or_insert(facts.now);
        let since = facts
            .last_output
            .map_or(running_since, |at| at.max(running_since));
        if facts.now - since < limit {
            self.silence.log_answers_since = None;
            return None;
        }
        match facts.answers.log_can_be_read {
            Some(true) => {
                let answers_since = *self.silence.log_answers_since.get_or_insert(facts.now);
                if facts.now - answers_since >= LOG_ANSWERS {
                    return Some(Cause::Silent);
                }
            }
            Some(false) | None => self.silence.log_answers_since = None,
        }
        self.ask(Ask::Log, facts, step);
        None
    }
}
