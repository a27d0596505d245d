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
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(uid: &str, made: &str, state: Value) -> Arc<Pod> {
        let pod = json!({"metadata": {"name": uid, "uid": uid, "creationTimestamp": made},
            "spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Running", "containerStatuses": [
            {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}});
        Arc::new(serde_json::from_value(pod).expect("a pod"))
    }

    fn early(state: Value) -> Arc<Pod> {
        pod("early", "2026-01-01T00:00:00Z", state)
    }

    fn late() -> Arc<Pod> {
        pod("late", "2026-01-01T00:00:09Z", json!({"running": {}}))
    }

    fn is_late(found: &AgentsPod) -> bool {
        matches!(found, AgentsPod::There(pod) if pod.metadata.uid.as_deref() == Some("late"))
    }

    #[test]
    fn the_successor_of_a_pod_that_worked_is_not_the_agents() {
        let there = [late()];
        let ended = agents_pod(None, &there, &[early(json!({"terminated": {"exitCode": 3}}))]);
        assert!(matches!(ended, AgentsPod::Gone(Cause::Exited(end)) if end.exit_code == 3));
        let at_work = agents_pod(None, &there, &[early(json!({"running": {}}))]);
        assert!(matches!(at_work, AgentsPod::Gone(Cause::Lost(_))));
    }

    #[test]
    fn the_successor_of_a_pod_that_never_started_is() {
        let gone = [early(json!({"waiting": {"reason": "ContainerCreating"}}))];
        let there = [late()];
        assert!(is_late(&agents_pod(None, &there, &gone)));
        assert!(matches!(agents_pod(None, &[], &gone), AgentsPod::Unseen));
    }

    #[test]
    fn a_known_pod_stays_the_agents() {
        let there = [early(json!({"running": {}})), late()];
        assert!(is_late(&agents_pod(Some("late"), &there, &[])));
        assert!(matches!(
            agents_pod(Some("other"), &there, &[]),
            AgentsPod::Gone(Cause::Lost(_))
        ));
    }

    #[test]
    fn a_job_whose_pods_are_still_being_ended_says_already_why() {
        let job = |conditions: Value| -> Job {
            serde_json::from_value(json!({"status": {"conditions": conditions}})).expect("a job")
        };
        let is_late = |conditions: Value| hit_its_deadline(Some(&job(conditions)), None, &[]);
        let failing = |reason: &str| json!([{"type": "FailureTarget", "status": "True", "reason": reason}]);
        assert_eq!(is_late(failing("DeadlineExceeded")), Some(true));
        assert_eq!(is_late(failing("BackoffLimitExceeded")), Some(false));
        assert_eq!(is_late(json!([])), None);
        assert_eq!(
            is_late(json!([{"type": "Complete", "status": "True"}])),
            Some(false)
        );
        assert_eq!(
            hit_its_deadline(None, None, &[]),
            Some(false),
            "nobody can say any more"
        );
    }

    #[test]
    fn a_job_that_failed_for_a_pod_that_is_being_ended_waits_for_the_pod() {
        let job: Job = serde_json::from_value(json!({"status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}))
        .expect("a job");
        let lag = |phase: &str, state: Value| {
            let mut pod = Pod::clone(&early(state));
            pod.status.as_mut().expect("a status").phase = Some(phase.to_owned());
            let (cause, lag) = end_of(Some(&job), Some(&pod)).expect("an end");
            (matches!(cause, Cause::Lost(_)), lag)
        };
        let creating = || json!({"waiting": {"reason": "ContainerCreating"}});
        assert_eq!(lag("Pending", creating()), (true, LAST_WORDS));
        assert_eq!(lag("Running", json!({"running": {}})), (true, LAST_WORDS));
        assert_eq!(lag("Failed", creating()), (true, STATUS_LAG));
    }

    #[test]
    fn an_init_container_that_the_deadline_ended_did_not_fail() {
        let ended = json!({"name": "istio-init", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 143, "reason": "Error"}}});
        let mut pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"},
            "status": {"phase": "Failed", "initContainerStatuses": [ended]}}))
        .expect("a pod");
        let job: Job = serde_json::from_value(json!({"status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}}))
        .expect("a job");
        let seen = |job: Option<&Job>, pod: &Pod| end_of(job, Some(pod)).expect("an end");
        assert!(
            matches!(seen(Some(&job), &pod), (Cause::NeverStarted(_), Duration::ZERO)),
            "it failed by itself"
        );
        pod.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).expect("a time");
        assert!(
            matches!(seen(None, &pod), (Cause::NeverStarted(_), lag) if lag > Duration::ZERO),
            "its Job has yet to say why"
        );
        assert_eq!(seen(Some(&job), &pod).0, Cause::Deadline);
    }
}
