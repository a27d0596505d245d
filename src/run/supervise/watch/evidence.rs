//! What counts while the API server is not heard, and what a record on the volume is worth while it is. Pure.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::{Say, Stage, Step, Watch};
use crate::cluster::conditions::{ContainerEnd, PodStage, fails_because, job_end, stage};
use crate::manifest::QUEUE_NAME;
use crate::manifest::exit_codes::SECOND_POD;
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::host::progress::Phase;
use crate::run::job::end::{Cause, is_suspended};
use crate::run::job::handle::Answer;
use crate::run::outcome::PREEMPTED;
use crate::run::supervise::facts::{Ask, Facts};
use crate::run::timing::{LOOK, SAY_PODS_STALE};

/// The reason of a container that was ended because another pod of its Job failed.
const TWIN_FAILED: &str =
    "the Job failed by another of its pods, and so this one was ended while its agent worked";
/// The reason of a container that was ended because its Job was deleted.
const DELETED_AT_WORK: &str = "the Job was deleted while its agent worked";

impl Watch {
    /// A record on the volume lies where any pod can write. It ends the run while the API server cannot be asked; else
    /// it is a reason to ask whether the container has ended: a watch may be silent.
    pub(super) fn recorded(&mut self, pod: Option<&Pod>, facts: &Facts, step: &mut Step) -> Option<Cause> {
        let view_is_fresh = facts.view.unreachable_since.is_none() && facts.view.pods_stale_since.is_none();
        if let Some(record) = &facts.record
            && self.pod.is_none()
            && view_is_fresh
            && matches!(self.stage, Stage::Starting)
        {
            return self.of_unseen_pod(&record.pod, facts, step);
        }
        let record = facts.record.as_ref().filter(|record| match &self.pod {
            Some(bound) if bound.name == record.pod => true,
            // No pod was seen that ran the agent: nothing of this run can have ended, unless nobody can see.
            _ => !view_is_fresh && matches!(self.stage, Stage::Starting),
        });
        let Some(record) = record else {
            if facts.now >= self.record_due {
                self.record_due = facts.now + LOOK;
                step.ask.push(Ask::Record);
                step.look_at = facts.now;
            } else {
                step.look_at = step.look_at.min(self.record_due);
            }
            return None;
        };
        let is_leaving = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
        if !view_is_fresh || is_leaving {
            return Some(Cause::Recorded(record.clone()));
        }
        let asked = Ask::Pod(record.pod.clone());
        match &facts.answers.pod {
            Some(Answer::Found(pod)) => match stage(pod, OPENCODE_CONTAINER) {
                PodStage::Ended(end) => return Some(Cause::Exited(end)),
                _ => step.ask.extend([Ask::Record, asked]),
            },
            Some(Answer::Absent) => return Some(Cause::Recorded(record.clone())),
            None if self.asked.contains(&asked) => return Some(Cause::Recorded(record.clone())),
            None => {
                step.ask.extend([Ask::Record, asked]);
                step.look_at = facts.now;
            }
        }
        None
    }

    /// The end of a pod that no list and no watch has shown, by its record: a watch may keep back what happens. What
    /// counts is what the API server itself says of that pod. A second pod has a record of nothing.
    fn of_unseen_pod(&mut self, name: &str, facts: &Facts, step: &mut Step) -> Option<Cause> {
        if let Some(Answer::Found(pod)) = &facts.answers.pod
            && let PodStage::Ended(end) = stage(pod, OPENCODE_CONTAINER)
            && end.exit_code != SECOND_POD
        {
            self.bind(pod, facts.now, step);
            return Some(Cause::Exited(end));
        }
        let asked = Ask::Pod(name.to_owned());
        if !self.asked.contains(&asked) {
            step.look_at = facts.now;
        }
        step.ask.extend([Ask::Record, asked]);
        None
    }

    /// The API server is away for too long, or what it tells of pods.
    pub(super) fn unreachable(&mut self, facts: &Facts, step: &mut Step) -> Option<Cause> {
        let view = &facts.view;
        if view.polling && !std::mem::replace(&mut self.said.is_polling, true) {
            let line =
                "Warning: watching Jobs and Pods is not granted (verb `watch`): polling every 2 s instead";
            step.say.push(Say::Status(line.to_owned()));
        }
        let outage = self.run.limits.outage;
        if let Some((why, since)) = &view.unreachable_since
            // The view may have been away long before this run came: what it finds is not an outage of its own.
            && facts.now - (*since).max(self.followed_since) >= outage
        {
            return Some(Cause::Unreachable(why.clone()));
        }
        let (why, since) = view.pods_stale_since.as_ref()?;
        let stale_for = facts.now - (*since).max(self.followed_since);
        if stale_for >= SAY_PODS_STALE && !std::mem::replace(&mut self.said.pods_are_stale, true) {
            let line = format!("Warning: nothing is heard of pods: {why}");
            step.say.push(Say::Status(line));
        }
        // The files of an agent that works still tell how the run goes.
        self.at_work |= facts.answers.has_started == Some(true);
        if stale_for < outage || matches!(self.stage, Stage::Running) || self.at_work {
            return None;
        }
        if self.asked.contains(&Ask::HasStarted) {
            return Some(Cause::Unreachable(why.clone()));
        }
        self.ask(Ask::HasStarted, facts, step);
        None
    }

    /// The end with what others did to the Job: its container does not know it.
    pub(super) fn by_others(&self, cause: Cause, facts: &Facts) -> Cause {
        self.by_twin(by_deletion(self.by_queue(cause), facts), facts)
    }

    /// A second pod that the Job's controller made beside this one does not start the agent and fails: then the
    /// controller ends this one. A pod that was made after somebody had deleted this one is not why it ended.
    fn by_twin(&self, cause: Cause, facts: &Facts) -> Cause {
        let Cause::Exited(end) = &cause else { return cause };
        let is_bound = |pod: &&Arc<Pod>| {
            let uid = self.pod.as_ref().map(|bound| bound.uid.as_str());
            uid.is_some() && pod.metadata.uid.as_deref() == uid
        };
        let pods = || facts.pods.iter().chain(&facts.deleted_pods);
        let deleted_at = pods().find(is_bound).and_then(|pod| {
            let at = pod.metadata.deletion_timestamp.as_ref()?.0;
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
            Some(at.as_second() - grace)
        });
        let was_before = |pod: &&Arc<Pod>| {
            let made = pod
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0.as_second());
            made.is_some_and(|made| deleted_at.is_some_and(|at| made < at))
        };
        let has_failed = |pod: &&Arc<Pod>| matches!(stage(pod, OPENCODE_CONTAINER), PodStage::Ended(end) if end.exit_code != 0);
        let is_twins = is_ended_without_reason(end)
            && facts.job.as_deref().and_then(fails_because).is_some()
            && pods().any(|pod| !is_bound(&pod) && was_before(&pod) && has_failed(&pod));
        match cause {
            Cause::Exited(end) if is_twins => Cause::Exited(ContainerEnd {
                reason: Some(TWIN_FAILED.to_owned()),
                ..end
            }),
            cause => cause,
        }
    }

    /// A queue preempts a Job by suspending it: its pod is deleted for that, and for no other reason.
    fn by_queue(&self, cause: Cause) -> Cause {
        if self.suspended_at.is_none() || !matches!(self.stage, Stage::Running) {
            return cause;
        }
        match cause {
            Cause::Lost(why) => Cause::Lost(format!(
                "Preempted: its queue suspended the Job while its agent worked ({why})"
            )),
            // An agent that was done in time is not preempted.
            Cause::Exited(end) if end.exit_code != 0 => Cause::Exited(ContainerEnd {
                reason: Some(PREEMPTED.to_owned()),
                ..end
            }),
            cause => cause,
        }
    }

    /// What cannot be seen is not late, and what waits in a queue is not either.
    pub(super) fn pause_clocks(&mut self, facts: &Facts, step: &mut Step) {
        let is_suspended = facts.job.as_deref().is_some_and(is_suspended);
        if is_suspended && self.suspended_at.is_none() {
            self.suspended_at = Some(facts.now);
            let job = &self.run.job_name;
            step.say.push(if matches!(self.stage, Stage::Running) {
                Say::Warning(format!(
                    "Warning: job {job} is preempted: its queue suspended it while its agent worked"
                ))
            } else {
                Say::Status(format!("Job {job} is suspended: it waits in its queue"))
            });
            let labels = facts.job.as_deref().and_then(|job| job.metadata.labels.as_ref());
            let queue = labels.and_then(|labels| labels.get(QUEUE_NAME)).cloned();
            // The agent that is preempted works until its pod is ended.
            if !matches!(self.stage, Stage::Running) {
                step.say.push(Say::Phase(Phase::Queued { queue }));
            }
        } else if !is_suspended && let Some(at) = self.suspended_at.take() {
            let limits = &mut self.run.limits;
            for deadline in [&mut limits.deadline, &mut limits.job_deadline]
                .into_iter()
                .flatten()
            {
                *deadline += facts.now - at;
            }
            if facts.job.is_some() && matches!(self.stage, Stage::Starting) {
                let line = format!("Job {} is admitted: it is suspended no more", self.run.job_name);
                step.say.push(Say::Status(line));
            }
        }
        let stale_since = facts.view.pods_stale_since.as_ref().map(|(_, since)| *since);
        self.clocks.pause(self.suspended_at.or(stale_since), facts.now);
    }
}

/// A container that was ended with its pod does not say that somebody has deleted the Job.
fn by_deletion(cause: Cause, facts: &Facts) -> Cause {
    let is_deleted = |job: &Job| facts.job.is_none() || job.metadata.deletion_timestamp.is_some();
    let job = facts.job.as_deref().or(facts.deleted_job.as_deref());
    let at_work = job.filter(|job| is_deleted(job) && job_end(job).is_none() && fails_because(job).is_none());
    match cause {
        Cause::Exited(end) if at_work.is_some() && is_ended_without_reason(&end) => {
            Cause::Exited(ContainerEnd {
                reason: Some(DELETED_AT_WORK.to_owned()),
                ..end
            })
        }
        cause => cause,
    }
}

/// Whether a signal has ended the container, and it does not say whose.
fn is_ended_without_reason(end: &ContainerEnd) -> bool {
    end.exit_code > 128 && matches!(end.reason.as_deref(), None | Some("Error"))
}
