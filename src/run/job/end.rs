//! What a Job and its pods, as they were last seen, tell about the end of a run. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::conditions::{
    ContainerEnd, JobEnd, PodStage, ended_because, fails_because, first_pod, is_over, job_end, stage,
};
use crate::manifest::exit_codes::SECOND_POD;
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::timing::{AFTER_DEADLINE, DEADLINE_LAG, LAST_WORDS, STATUS_LAG};
use crate::tail::EndRecord;

/// What the API server and the pod say about the end of opencode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How the container ended, as the API server says.
    pub container: Option<ContainerEnd>,
    /// The pod's own record: from the container's termination message, or from the volume.
    pub record: Option<EndRecord>,
}

/// Why a run is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// opencode ended by itself.
    Exited(Evidence),
    /// opencode's container cannot start, or did not in time.
    NeverStarted {
        /// The API server's reason.
        why: String,
    },
    /// The Job's own deadline passed, or ours.
    DeadlineExceeded {
        /// What is known of opencode's end.
        evidence: Evidence,
        /// Whether the Job's pods are verifiably gone; `None` where nobody had to look.
        gone: Option<bool>,
        /// It was not this run's `timeoutSec`: somebody gave the Job another deadline.
        is_of_others: bool,
    },
    /// opencode repeated itself without getting on, and we ended it.
    InCircle {
        /// What is known of opencode's end.
        evidence: Evidence,
        /// Whether the Job's pods are verifiably gone.
        gone: bool,
    },
    /// opencode printed nothing for too long, and we ended it.
    Silent {
        /// What is known of opencode's end.
        evidence: Evidence,
        /// Whether the Job's pods are verifiably gone.
        gone: bool,
    },
    /// Somebody asked to stop.
    Cancelled {
        /// What is known of opencode's end.
        evidence: Evidence,
        /// Whether the Job's pods are verifiably gone.
        gone: bool,
    },
    /// The Job or the first pod is gone or over, and nobody saw how.
    Lost {
        /// What was seen.
        why: String,
        /// What is known of opencode's end.
        evidence: Evidence,
    },
    /// The API server did not answer for too long. The Job stays.
    Unreachable {
        /// Its last answer.
        why: String,
    },
}

impl RunEnd {
    /// What is known of opencode's end.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Exited(evidence)
            | Self::DeadlineExceeded { evidence, .. }
            | Self::InCircle { evidence, .. }
            | Self::Silent { evidence, .. }
            | Self::Cancelled { evidence, .. }
            | Self::Lost { evidence, .. } => Some(evidence),
            Self::NeverStarted { .. } | Self::Unreachable { .. } => None,
        }
    }

    /// Whether the agent had to be ended by us, and nobody could verify that it is gone.
    #[must_use]
    pub fn may_still_run(&self) -> bool {
        matches!(
            self,
            Self::Cancelled { gone: false, .. }
                | Self::InCircle { gone: false, .. }
                | Self::Silent { gone: false, .. }
                | Self::DeadlineExceeded {
                    gone: Some(false),
                    ..
                }
        )
    }
}

/// What ends a run, before all is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The agent's container ended.
    Exited(ContainerEnd),
    /// The pod's record lies on the volume, while the API server cannot say more.
    Recorded(EndRecord),
    /// The agent's container cannot start, or did not in time.
    NeverStarted(String),
    /// The Job or the first pod is gone or over, and nobody saw how.
    Lost(String),
    /// The Job's own deadline, or ours.
    Deadline,
    /// opencode repeats itself without getting on.
    InCircle,
    /// opencode has printed nothing for too long.
    Silent,
    /// Somebody asked to stop.
    Cancelled,
    /// The API server did not answer for too long.
    Unreachable(String),
}

/// The reason of a Job that ran into its own deadline.
const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
/// What is said of a Job that is there no more.
pub(crate) const JOB_DELETED: &str = "the Job was deleted before its end was seen";

/// The pod that runs the agent.
pub(crate) enum AgentsPod<'a> {
    /// None was seen yet.
    Unseen,
    /// It is there.
    There(&'a Arc<Pod>),
    /// It was deleted, and this is what its last state says.
    Gone(Cause),
}

/// The pod of this uid, or the first that was made while none is known, among those that are there and those that are
/// gone.
pub(crate) fn agents_pod<'a>(uid: Option<&str>, there: &'a [Arc<Pod>], gone: &[Arc<Pod>]) -> AgentsPod<'a> {
    let of_uid = |pod: &&Arc<Pod>| pod.metadata.uid.as_deref() == uid;
    if uid.is_some() {
        return match there.iter().find(of_uid) {
            Some(pod) => AgentsPod::There(twin_of(pod, there).unwrap_or(pod)),
            None => AgentsPod::Gone(end_of_deleted(gone.iter().rev().find(of_uid).map(AsRef::as_ref))),
        };
    }
    let first_there = first_pod(there);
    let left = there
        .iter()
        .find(|pod| first_there.is_some_and(|first| std::ptr::eq(first, pod.as_ref())));
    // It came, worked and went before anybody looked: its successor runs no agent.
    let worked: Vec<&Arc<Pod>> = gone.iter().filter(|pod| has_started(pod)).collect();
    match first_pod(&worked).filter(|first| left.is_none_or(|left| is_before(first, left))) {
        Some(first) => AgentsPod::Gone(end_of_deleted(Some(first))),
        None => left.map_or(AgentsPod::Unseen, |pod| {
            AgentsPod::There(twin_of(pod, there).unwrap_or(pod))
        }),
    }
}

/// The pod that runs the agent in the place of one which found that another had started it: a controller may make two
/// at once, and which of them comes first the API does not know.
fn twin_of<'a>(pod: &Pod, there: &'a [Arc<Pod>]) -> Option<&'a Arc<Pod>> {
    let exit_code = |pod: &Pod| match stage(pod, OPENCODE_CONTAINER) {
        PodStage::Ended(end) => Some(end.exit_code),
        _ => None,
    };
    let is_on = |other: &&Arc<Pod>| !is_over(other) && exit_code(other).is_none();
    there
        .iter()
        .find(is_on)
        .filter(|_| exit_code(pod) == Some(SECOND_POD))
}

/// Whether the agent's pod shows that nobody ended its container: a deadline deletes the pod first. A sidecar may keep
/// such a Job until its deadline has passed.
pub(crate) fn ended_by_itself(pods: &[Arc<Pod>]) -> bool {
    let is_ended = |pod: &Pod| matches!(stage(pod, OPENCODE_CONTAINER), PodStage::Ended(_));
    first_pod(pods).is_some_and(|pod| pod.metadata.deletion_timestamp.is_none() && is_ended(pod))
}

fn has_started(pod: &Pod) -> bool {
    let stage = stage(pod, OPENCODE_CONTAINER);
    matches!(
        stage,
        PodStage::Running | PodStage::Ended(_) | PodStage::EndUnknown { .. }
    )
}

fn is_before(pod: &Pod, other: &Pod) -> bool {
    let made = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    made(pod) <= made(other)
}

/// Whether the agent was ended by the Job's own deadline; `None` while its condition may still come. An agent that
/// ended by itself before is not late. Pure.
#[must_use]
pub fn hit_its_deadline(job: Option<&Job>, deleted_job: Option<&Job>, pods: &[Arc<Pod>]) -> Option<bool> {
    if ended_by_itself(pods) {
        return Some(false);
    }
    let Some(known) = job.or(deleted_job) else {
        return Some(false);
    };
    match (fails_because(known), job_end(known)) {
        (Some(reason), _) => Some(reason == DEADLINE_EXCEEDED),
        (None, Some(_)) => Some(false),
        (None, None) => job.is_none().then_some(false),
    }
}

/// Whether the Job waits in a queue: nothing of it runs, and none of its clocks does.
pub(crate) fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) && job_end(job).is_none()
}

/// Whether the agent's container runs, as far as anybody knows.
pub(crate) fn is_running(pod: &Pod) -> bool {
    stage(pod, OPENCODE_CONTAINER) == PodStage::Running
}

/// The end of the first pod when it is there no more: what its last state says, if anything. Pure.
fn end_of_deleted(last: Option<&Pod>) -> Cause {
    match last.map(|pod| stage(pod, OPENCODE_CONTAINER)) {
        Some(PodStage::Ended(end)) => Cause::Exited(end),
        _ => Cause::Lost(
            last.and_then(ended_because)
                .unwrap_or_else(|| "the pod was deleted".to_owned()),
        ),
    }
}

/// The end that a Job and its first pod tell, and how long a better word may follow it. Pure.
#[must_use]
pub fn end_of(job: Option<&Job>, pod: Option<&Pod>) -> Option<(Cause, Duration)> {
    let of_pod = pod.and_then(|pod| match stage(pod, OPENCODE_CONTAINER) {
        PodStage::Ended(end) => Some((Cause::Exited(end), Duration::ZERO)),
        PodStage::EndUnknown { why } => Some((Cause::Lost(why), STATUS_LAG)),
        PodStage::Blocked { container, why } => {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let why = format!("{why} (container {container} of pod {name})");
            match job.and_then(fails_because) {
                _ if pod.metadata.deletion_timestamp.is_none() => {
                    Some((Cause::NeverStarted(why), Duration::ZERO))
                }
                // What it ended with is the answer to being ended.
                Some(DEADLINE_EXCEEDED) => Some((Cause::Deadline, Duration::ZERO)),
                _ => Some((Cause::NeverStarted(why), DEADLINE_LAG)),
            }
        }
        PodStage::Unscheduled { .. } | PodStage::Starting | PodStage::Running => None,
    });
    of_pod.or_else(|| match job.and_then(job_end)? {
        // Its pods are being ended: their record is still to come.
        JobEnd::Failed { reason, .. } if reason == DEADLINE_EXCEEDED => Some((
            Cause::Deadline,
            if pod.is_some() {
                AFTER_DEADLINE
            } else {
                Duration::ZERO
            },
        )),
        // A second pod failed at once while the first, which has the agent, is still being ended; or a Job counts a pod
        // that is being ended as failed.
        JobEnd::Failed { reason, message } => Some((
            Cause::Lost(format!("the Job failed: {reason}: {message}")),
            if pod.is_some_and(|pod| !is_over(pod)) {
                LAST_WORDS
            } else {
                STATUS_LAG
            },
        )),
        JobEnd::Complete => {
            let why = "the Job is complete, but its container's end was not reported";
            Some((Cause::Lost(why.to_owned()), STATUS_LAG))
        }
    })
}

#[cfg(test)]
mod tests;
