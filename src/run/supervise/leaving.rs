//! A run whose end is known: what is still waited for before it is over. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::facts::{Ask, Facts};
use super::log_finish::LogFinish;
use super::watch::{BoundPod, Say, Step, Watched};
use crate::cluster::conditions::{ContainerEnd, end_in, job_end};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::host::progress::Phase;
use crate::run::job::end::{Cause, Evidence, JOB_DELETED, RunEnd, hit_its_deadline, is_running};
use crate::run::timing::{
    CANCELLED_PROOF, DEADLINE_LAG, DEADLINE_ROUNDING, FORCED_LAST_WORDS, LAST_WORDS, LEAVING_LOOK,
    RECORD_LAG, STATUS_LAG, STOP_JOB,
};
use crate::tail::EndRecord;
use crate::tail::record::split_termination_message;

/// Whether the Job is ended by us, and how far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// Nothing has to be ended.
    NotNeeded,
    /// The Job is to be deleted.
    Delete,
    /// Its pods are to go.
    Wait,
    /// They are gone, and the volume is asked whether opencode was started at all.
    AskStarted,
    /// Whether they are verifiably gone.
    Done { gone: bool },
}

/// A run whose end is known.
#[derive(Debug)]
pub(super) struct Leaving {
    cause: Cause,
    since: Instant,
    /// When nothing of the run was left to be ended by us.
    ended_at: Instant,
    stopping: Stopping,
    evidence: Evidence,
    /// The pod's object went away while its container ran: nobody waited for its end.
    vanished: bool,
    /// Whether opencode was started; asked only after a cancel.
    has_started: Option<bool>,
    /// Nothing of the run is left but its files: they are its end.
    is_of_files: bool,
    /// Whether the Job's own deadline ended it.
    is_late: Option<bool>,
    finish: Option<LogFinish>,
    finish_set_at: Instant,
    /// What was said last of how far it is.
    said: Option<Phase>,
}

impl Leaving {
    pub(super) fn new(cause: Cause, now: Instant) -> Self {
        let stopping = match cause {
            Cause::Cancelled | Cause::Deadline | Cause::InCircle | Cause::Silent => Stopping::Delete,
            _ => Stopping::NotNeeded,
        };
        let is_late = match cause {
            Cause::Deadline => Some(true),
            Cause::Exited(_) | Cause::Recorded(_) | Cause::Lost(_) => None,
            Cause::Cancelled
            | Cause::InCircle
            | Cause::Silent
            | Cause::NeverStarted(_)
            | Cause::Unreachable(_) => Some(false),
        };
        Self {
            cause,
            since: now,
            ended_at: now,
            stopping,
            evidence: Evidence::default(),
            vanished: false,
            has_started: None,
            is_of_files: false,
            is_late,
            finish: None,
            finish_set_at: now,
            said: None,
        }
    }

    /// A run of which only files are left.
    pub(super) fn of_files(now: Instant) -> Self {
        let mut leaving = Self::new(Cause::Lost(JOB_DELETED.to_owned()), now);
        leaving.is_late = Some(false);
        leaving.is_of_files = true;
        leaving.said = Some(Phase::Proving);
        leaving
    }

    /// What is still missing is asked for; the end, when nothing is.
    pub(super) fn step(
        &mut self,
        run: &Watched,
        pod: Option<&BoundPod>,
        facts: &Facts,
        step: &mut Step,
    ) -> Option<RunEnd> {
        step.look_at = facts.now + LEAVING_LOOK;
        self.say_phase(step);
        if self.is_being_stopped(run, pod, facts, step) {
            step.look_at = facts.now;
            return None;
        }
        self.say_phase(step);
        self.gather(run, pod, facts);
        self.ask_whether_late(run, facts);
        let finish = self.log_finish(facts, step);
        if finish.is_some() && finish != self.finish {
            if self.finish.is_none() {
                self.finish_set_at = facts.now;
            }
            self.finish.clone_from(&finish);
            step.finish = finish;
        }
        let is_complete = self.finish.is_some() && self.is_late.is_some() && !self.awaits_container(facts);
        (facts.log_is_over && is_complete).then(|| {
            let is_of_others = self.is_late == Some(true) && !self.may_be_late(run);
            if is_of_others {
                step.say.push(Say::Warning(deadline_of_others(run, facts)));
            }
            self.end(is_of_others)
        })
    }

    /// Says how far it is, when that has changed. Until its pods are known to be gone, an agent may be at work.
    fn say_phase(&mut self, step: &mut Step) {
        let phase = match (&self.cause, self.stopping) {
            (Cause::NeverStarted(_), _) => Phase::NotStarted,
            (Cause::Unreachable(_), _) => Phase::GivenUp,
            (_, Stopping::NotNeeded | Stopping::Done { gone: true }) => Phase::Proving,
            _ => Phase::Ending,
        };
        if self.said.as_ref() != Some(&phase) {
            self.said = Some(phase.clone());
            step.say.push(Say::Phase(phase));
        }
    }

    /// Ends the Job where it is ours to end. It is deleted first, and reported afterwards: a host that is slow to take
    /// a line must not delay the agent's TERM.
    fn is_being_stopped(
        &mut self,
        run: &Watched,
        pod: Option<&BoundPod>,
        facts: &Facts,
        step: &mut Step,
    ) -> bool {
        let left = STOP_JOB.saturating_sub(facts.now - self.since);
        let job_is_over = facts.job.as_deref().and_then(job_end).is_some();
        if self.stopping == Stopping::Delete {
            match &facts.answers.deleted {
                // Its controller ended its pods already, and the Job may have to stay.
                None if self.cause == Cause::Deadline && job_is_over => self.stopping = Stopping::Wait,
                None => step.ask.push(Ask::DeleteJob(left)),
                Some(deleted) => {
                    let why = match self.cause {
                        Cause::Deadline => "its deadline has passed",
                        Cause::InCircle => "opencode repeats itself without getting on",
                        Cause::Silent => "opencode has printed nothing for `silenceTimeoutSec`",
                        _ => "the run is cancelled",
                    };
                    step.say
                        .push(Say::Status(format!("Stopping job {}: {why}", run.job_name)));
                    self.stopping = Stopping::Wait;
                    if let Err(error) = deleted {
                        let line = format!("Warning: failed to delete job {}: {error}", run.job_name);
                        step.say.push(Say::Warning(line));
                        self.stopping = Stopping::Done { gone: false };
                        self.ended_at = facts.now;
                    }
                }
            }
        }
        if self.stopping == Stopping::AskStarted {
            // Where nobody can say, it may have.
            self.has_started = Some(facts.answers.has_started.unwrap_or(true));
            self.stopping = Stopping::Done { gone: true };
        }
        if self.stopping == Stopping::Wait {
            match facts.answers.pods_gone {
                None => {
                    let bound = pod.map(|pod| pod.name.clone());
                    step.ask.push(Ask::PodsGone(bound, left));
                }
                Some(gone) => {
                    self.ended_at = facts.now;
                    self.stopping = Stopping::Done { gone };
                    if gone && self.cause == Cause::Cancelled {
                        self.stopping = Stopping::AskStarted;
                        step.ask.push(Ask::HasStarted);
                    }
                }
            }
        }
        !step.ask.is_empty()
    }

    /// The record of the container's termination message wins over the volume's, where any pod can write.
    fn gather(&mut self, run: &Watched, pod: Option<&BoundPod>, facts: &Facts) {
        if let Cause::Exited(end) = &self.cause {
            self.evidence.container = Some(end.clone());
        }
        let name = match &self.cause {
            Cause::Recorded(record) => Some(record.pod.as_str()),
            _ => pod.map(|pod| pod.name.as_str()),
        };
        let ended = name.and_then(|name| container_end(name, facts));
        if matches!(self.cause, Cause::Recorded(_)) {
            self.evidence.container.clone_from(&ended);
        }
        self.vanished =
            matches!(self.cause, Cause::Lost(_)) && ended.is_none() && is_gone_while_running(pod, facts);
        let last = self.evidence.container.as_ref().or(ended.as_ref());
        let in_message = last.and_then(|end| split_termination_message(&end.message, &run.run_id).0);
        let view_is_fresh = facts.view.unreachable_since.is_none() && facts.view.pods_stale_since.is_none();
        let on_volume = facts.record.as_ref().filter(|record| match pod {
            Some(pod) => pod.name == record.pod,
            None => self.is_of_files || !view_is_fresh || is_all_there_is(record, facts),
        });
        let recorded = match &self.cause {
            Cause::Recorded(record) => Some(record),
            _ => None,
        };
        if let Some(record) = in_message {
            self.evidence.record = Some(record);
        } else if self.evidence.record.is_none() {
            self.evidence.record = on_volume.or(recorded).cloned();
        }
        // A run whose end is on the volume is not one of which nobody knows.
        let is_unknown = self.is_of_files || matches!(self.cause, Cause::Unreachable(_));
        if let Some(record) = self.evidence.record.as_ref().filter(|_| is_unknown) {
            self.cause = Cause::Recorded(record.clone());
        }
    }

    /// The controller deletes the pods of a Job that is out of time before it says so, whichever way their end is seen.
    /// An exit code of 0 is no exception here: what it is worth is the judgement's matter.
    fn ask_whether_late(&mut self, run: &Watched, facts: &Facts) {
        if self.is_late.is_some() {
            return;
        }
        let said = hit_its_deadline(facts.job.as_deref(), facts.deleted_job.as_deref(), &facts.pods);
        // Somebody waits for the answer to a cancel, and what ended by itself stays what it was.
        self.is_late = if facts.cancelled_at.is_some() {
            Some(false)
        } else if self.may_be_late(run) {
            said.or((facts.now - self.since >= DEADLINE_LAG).then_some(false))
        } else {
            // Nothing is waited for that nobody expects; what the Job says of it already is so all the same.
            Some(said == Some(true))
        };
    }

    /// Whether the deadline may have passed that this run gave its Job.
    fn may_be_late(&self, run: &Watched) -> bool {
        let about_then = self.since + DEADLINE_ROUNDING;
        run.limits
            .job_deadline
            .is_some_and(|deadline| about_then >= deadline)
    }

    /// How the log is to finish by what is known now; asks for the record while it may come.
    fn log_finish(&self, facts: &Facts, step: &mut Step) -> Option<LogFinish> {
        let never_started = matches!(self.cause, Cause::NeverStarted(_)) || self.has_started == Some(false);
        let is_cut_short = facts.cancelled_at.is_some_and(|at| {
            let waits_since = at.max(self.finish_set_at);
            self.finish.is_some() && facts.now - waits_since >= CANCELLED_PROOF
        });
        if never_started || is_cut_short {
            return Some(LogFinish::Drain);
        }
        if let Some(record) = &self.evidence.record {
            return Some(LogFinish::Prove {
                record: record.clone(),
                is_hurried: self.cause == Cause::Cancelled,
            });
        }
        // An agent that a cancel could not end has no last words yet, and the host waits.
        let may_go_on = self.cause == Cause::Cancelled && self.stopping == Stopping::Done { gone: false };
        let waited = facts.now - self.ended_at;
        if !may_go_on && waited < LAST_WORDS {
            step.ask.push(Ask::Record);
        }
        let lag = if self.vanished {
            FORCED_LAST_WORDS
        } else {
            RECORD_LAG
        };
        (may_go_on || waited >= lag).then_some(LogFinish::Settle)
    }

    /// The API server may take a moment to tell what the record on the volume already says.
    fn awaits_container(&self, facts: &Facts) -> bool {
        let is_recorded = matches!(self.cause, Cause::Recorded(_)) && self.evidence.container.is_none();
        is_recorded
            && !self.is_of_files
            && facts.cancelled_at.is_none()
            && facts.now - self.since < STATUS_LAG
    }

    fn end(&mut self, is_of_others: bool) -> RunEnd {
        let evidence = std::mem::take(&mut self.evidence);
        let gone = match self.stopping {
            Stopping::Done { gone } => Some(gone),
            _ => None,
        };
        if self.is_late == Some(true) {
            return RunEnd::DeadlineExceeded {
                evidence,
                gone,
                is_of_others,
            };
        }
        match std::mem::replace(&mut self.cause, Cause::Deadline) {
            Cause::Exited(_) | Cause::Recorded(_) => RunEnd::Exited(evidence),
            Cause::Lost(why) => RunEnd::Lost { why, evidence },
            Cause::NeverStarted(why) => RunEnd::NeverStarted { why },
            Cause::Cancelled => RunEnd::Cancelled {
                evidence,
                gone: gone == Some(true),
            },
            Cause::InCircle => RunEnd::InCircle {
                evidence,
                gone: gone == Some(true),
            },
            Cause::Silent => RunEnd::Silent {
                evidence,
                gone: gone == Some(true),
            },
            Cause::Unreachable(why) => RunEnd::Unreachable { why },
            Cause::Deadline => RunEnd::DeadlineExceeded {
                evidence,
                gone,
                is_of_others,
            },
        }
    }
}

/// What is said of a deadline that is not the run's own.
fn deadline_of_others(run: &Watched, facts: &Facts) -> String {
    let job = facts.job.as_deref().or(facts.deleted_job.as_deref());
    let seconds = job.and_then(|job| job.spec.as_ref()?.active_deadline_seconds);
    let seconds = seconds.map_or_else(String::new, |seconds| format!(" of {seconds} s"));
    format!(
        "Warning: job {} was ended by a deadline{seconds} that is not this run's `timeoutSec`: somebody has changed \
         the Job's `activeDeadlineSeconds`",
        run.job_name
    )
}

/// Whether the Job is over, and no pod of it is there or was seen but the record's own: none is to come, so that the
/// record is worth what it is where the Job is gone, too.
fn is_all_there_is(record: &EndRecord, facts: &Facts) -> bool {
    let job = facts.job.as_deref().or(facts.deleted_job.as_deref());
    let mut seen = facts.pods.iter().chain(&facts.deleted_pods);
    let is_other = |pod: &Arc<Pod>| pod.metadata.name.as_deref() != Some(record.pod.as_str());
    job.and_then(job_end).is_some() && !seen.any(is_other)
}

/// Whether the pod is not there any more, and was deleted while the agent's container ran.
fn is_gone_while_running(pod: Option<&BoundPod>, facts: &Facts) -> bool {
    let Some(bound) = pod else { return false };
    let is_it = |pod: &&Arc<Pod>| pod.metadata.uid.as_deref() == Some(bound.uid.as_str());
    let last = facts.deleted_pods.iter().rev().find(is_it);
    !facts.pods.iter().any(|pod| is_it(&pod)) && last.is_some_and(|pod| is_running(pod))
}

/// How the agent's container in the pod of this name ended, as the API server says, also when the pod is gone since.
fn container_end(pod: &str, facts: &Facts) -> Option<ContainerEnd> {
    let in_pods = end_in(&facts.pods, pod, OPENCODE_CONTAINER);
    in_pods.or_else(|| end_in(&facts.deleted_pods, pod, OPENCODE_CONTAINER))
}
