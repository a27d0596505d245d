//! Pods whose agent never ran. Pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, Pod};

use super::reason::{NODE_LOST, ended_because};
use super::{ContainerEnd, container_end, container_status, is_bound, words};

/// What a kubelet calls the end of a container that it cannot find, also of one that it never made.
pub(super) const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// What a kubelet calls the end of a container that its runtime could not start. It gives a time of a start all the
/// same: the first of 1970, or that of the attempt.
const NOT_STARTED: [&str; 2] = ["StartError", "ContainerCannotRun"];

/// What kept the runtime from starting a container that ended without having run.
#[must_use]
pub fn no_start_of(end: &ContainerEnd) -> Option<String> {
    let reason = end
        .reason
        .as_deref()
        .filter(|reason| NOT_STARTED.contains(reason))?;
    Some(words(reason, end.message.trim()))
}

/// Whether a pod that is over shows that the agent's container never ran: no node had it, or its kubelet rejected,
/// evicted or deleted it before. A kubelet that was restarted may show the same of one that ran: the start record
/// decides.
#[must_use]
pub fn shows_no_start(pod: &Pod, container: &str) -> bool {
    let Some(status) = &pod.status else {
        return false;
    };
    let is_lost = ended_because(pod).is_some_and(|why| why.starts_with(NODE_LOST));
    let agent = container_status(status, container);
    // A current kubelet tells of its containers before it calls the pod failed.
    let has_ended = agent.and_then(container_end).is_some();
    let is_failed = (status.phase.as_deref() == Some("Failed") || has_ended) && !is_lost;
    let may_have_run = |state: &ContainerState| {
        let ended = state.terminated.as_ref();
        let is = |end: &ContainerStateTerminated, reasons: &[&str]| {
            end.reason
                .as_deref()
                .is_some_and(|reason| reasons.contains(&reason))
        };
        let has_run = |end: &ContainerStateTerminated| {
            !is(end, &NOT_STARTED) && (end.started_at.is_some() || !is(end, &[STATUS_UNKNOWN]))
        };
        state.running.is_some() || ended.is_some_and(has_run)
    };
    let mut states = agent
        .into_iter()
        .flat_map(|status| [&status.state, &status.last_state])
        .flatten();
    (is_failed || !is_bound(pod)) && !states.any(may_have_run)
}

#[cfg(test)]
mod tests;
