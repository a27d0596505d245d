//! Why a pod as a whole ended: what ended it was none of its containers. Pure.

use k8s_openapi::api::core::v1::{Pod, PodStatus};

/// What a control plane says of a pod whose node it does not hear.
pub(super) const NODE_LOST: &str = "NodeLost";
/// Why the pod as a whole ended: set when something other than its containers ended it.
pub(super) fn pod_reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref().filter(|reason| !reason.is_empty())?;
    Some(
        status
            .message
            .as_ref()
            .filter(|message| !message.is_empty())
            .map_or(reason.to_owned(), |message| format!("{reason}: {message}")),
    )
}

/// Why the pod as a whole ended, or is being ended, by whoever says it.
#[must_use]
pub fn ended_because(pod: &Pod) -> Option<String> {
    pod_reason(pod).or_else(|| disruption(pod.status.as_ref()?))
}

/// Who ends a pod that is in the way: a scheduler, a drain, a node that is gone. Said before the pod is deleted, since
/// Kubernetes 1.26.
pub(super) fn disruption(status: &PodStatus) -> Option<String> {
    let mut conditions = status.conditions.iter().flatten();
    let found =
        conditions.find(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")?;
    let class = match found.reason.as_deref() {
        Some("PreemptionByScheduler") => "Preempted",
        Some("DeletionByPodGC") => NODE_LOST,
        _ => EVICTED,
    };
    let words = found.message.as_deref().or(found.reason.as_deref());
    Some(words.map_or(class.to_owned(), |words| format!("{class}: {words}")))
}

/// What a pod is called that had to make room.
const EVICTED: &str = "Evicted";
