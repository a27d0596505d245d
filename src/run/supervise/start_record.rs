//! Whether the agent was started is the word of its start record, whatever its pod looks like. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::conditions::{ContainerEnd, ended_because, no_start_of, shows_no_start};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::job::end::Cause;

/// The end by what is known of the start; `None` while the volume has to be asked for the start record.
/// `no_start`: the pod is over, and nothing shows that its agent ran; why it ended.
pub(super) fn by_start_record(
    cause: Cause,
    no_start: Option<String>,
    has_started: Option<bool>,
    is_asked: bool,
) -> Option<Cause> {
    let why = match (&cause, no_start) {
        (Cause::NeverStarted(why), _) => why.clone(),
        (Cause::Lost(_) | Cause::Exited(_), Some(why)) => why,
        _ => return Some(cause),
    };
    Some(match (has_started, cause) {
        (None, _) if !is_asked => return None,
        (Some(false), _) => Cause::NeverStarted(why),
        // What it printed and used is there to be judged.
        (Some(true), Cause::NeverStarted(_)) => Cause::Lost(why),
        (_, cause) => cause,
    })
}

/// Why a pod that is over never ran its agent, if it shows that. `is_late`: the Job's deadline is over, which deletes
/// its pod: that is another end.
pub(super) fn why_no_start(pod: &Pod, cause: &Cause, there: &[Arc<Pod>], is_late: bool) -> Option<String> {
    let is_there = |found: &Arc<Pod>| found.metadata.uid == pod.metadata.uid;
    let is_deleted = pod.metadata.deletion_timestamp.is_some() || !there.iter().any(is_there);
    if !shows_no_start(pod, OPENCODE_CONTAINER) || is_deleted && is_late {
        return None;
    }
    let words = match cause {
        Cause::Lost(why) => Some(why.clone()),
        Cause::Exited(end) => no_start_of(end).or_else(|| said_of(end)),
        _ => None,
    };
    let words = words.unwrap_or_default();
    Some(match ended_because(pod) {
        Some(why) => why,
        None if is_deleted => format!("Pod deleted before its start ({words})"),
        None => words,
    })
}

/// What the node says of the end of a container.
fn said_of(end: &ContainerEnd) -> Option<String> {
    let (reason, message) = (end.reason.as_ref()?, end.message.trim());
    Some(match message.is_empty() || reason.contains(": ") {
        true => reason.clone(),
        false => format!("{reason}: {message}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never_started() -> Cause {
        Cause::NeverStarted("why".to_owned())
    }

    #[test]
    fn an_agent_that_took_its_start_record_has_started() {
        let lost = Cause::Lost("why".to_owned());
        for (has_started, is_asked, end) in [
            (None, false, None),
            (None, true, Some(never_started())),
            (Some(false), true, Some(never_started())),
            (Some(true), true, Some(lost.clone())),
        ] {
            assert_eq!(by_start_record(never_started(), None, has_started, is_asked), end);
        }
        assert_eq!(by_start_record(lost.clone(), None, None, false), Some(lost));
    }
    #[test]
    fn what_a_node_says_of_a_container_that_it_has_lost_is_told() {
        let end = ContainerEnd {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: "The container could not be located when the pod was terminated".to_owned(),
        };
        let pod = serde_json::from_value(
            serde_json::json!({"status": {"phase": "Failed", "containerStatuses": [
            {"name": OPENCODE_CONTAINER, "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}}]}}),
        );
        let said = why_no_start(&pod.expect("a pod"), &Cause::Exited(end), &[], false);
        assert_eq!(
            said.as_deref(),
            Some(
                "Pod deleted before its start (ContainerStatusUnknown: The container could not be located when the \
                 pod was terminated)"
            )
        );
    }
    #[test]
    fn a_pod_that_was_rejected_and_took_no_start_record_never_started() {
        let end = ContainerEnd {
            exit_code: 137,
            reason: Some("why".to_owned()),
            message: String::new(),
        };
        for cause in [Cause::Lost("why".to_owned()), Cause::Exited(end)] {
            for (has_started, is_asked, found) in [
                (None, false, None),
                (None, true, Some(cause.clone())),
                (Some(false), true, Some(never_started())),
                (Some(true), true, Some(cause.clone())),
            ] {
                let no_start = Some("why".to_owned());
                assert_eq!(
                    by_start_record(cause.clone(), no_start, has_started, is_asked),
                    found
                );
            }
        }
    }
}
