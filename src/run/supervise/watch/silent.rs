//! An agent that prints nothing for so long that nobody waits for it any more.

use super::{Stage, Step, Watch};
use crate::run::job::end::Cause;
use crate::run::supervise::facts::{Ask, Facts};
use crate::run::timing::SILENT_VOLUME;

impl Watch {
    /// The silence of an agent that runs, for longer than `silenceTimeoutSec`. Before it counts, the volume has to answer
    /// for a while: what was printed on one that hangs nobody knows.
    pub(super) fn silent(&mut self, facts: &Facts, step: &mut Step) -> Option<Cause> {
        let limit = self.run.limits.silence?;
        let is_seen = facts.view.unreachable_since.is_none()
            && facts.view.pods_stale_since.is_none()
            && facts.job.is_some()
            && self.suspended_at.is_none();
        let last = facts
            .last_output
            .map_or(self.followed_since, |at| at.max(self.followed_since));
        if !is_seen || !matches!(self.stage, Stage::Running) || facts.now - last < limit {
            self.volume_answers_since = None;
            return None;
        }
        let answers_since = match facts.answers.has_started {
            Some(_) => Some(*self.volume_answers_since.get_or_insert(facts.now)),
            None => None,
        };
        self.volume_answers_since = answers_since;
        if answers_since.is_some_and(|since| facts.now - since >= SILENT_VOLUME) {
            return Some(Cause::Silent);
        }
        self.ask(Ask::HasStarted, facts, step);
        None
    }
}
