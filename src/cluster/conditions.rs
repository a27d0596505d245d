//! Questions about Jobs and pods as the API server returned them. Pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// All pods succeeded.
    Complete,
    /// The controller gave up, with its reason (`DeadlineExceeded`, `BackoffLimitExceeded`, …) and message.
    Failed {
        /// Machine-readable.
        reason: String,
        /// For a person.
        message: String,
    },
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Exit code as the kubelet reports it (128 + n for signal n).
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub reason: Option<String>,
    /// The termination message.
    pub message: String,
}

/// How far a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodStage {
    /// Not bound to a node yet.
    Unscheduled {
        /// The scheduler's message, if there is one.
        why: Option<String>,
    },
    /// On a node, not running yet.
    Starting,
    /// It will not start unless somebody helps.
    Blocked {
        /// Which container.
        container: String,
        /// The kubelet's reason and message.
        why: String,
    },
    /// The agent's container runs.
    Running,
    /// The agent's container ended.
    Ended(ContainerEnd),
    /// The pod has ended, and how its container ended is not known: evicted, node lost, or the status lags.
    EndUnknown {
        /// The pod's reason and message.
        why: String,
    },
}

/// Reasons of a waiting container that do not pass unless somebody helps.
const BLOCKED: [&str; 9] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

/// How the Job ended, if it did. Its conditions decide: its counts of pods change earlier.
#[must_use]
pub fn job_end(job: &Job) -> Option<JobEnd> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .find_map(|condition| match condition.type_.as_str() {
            "Complete" => Some(JobEnd::Complete),
            "Failed" => Some(JobEnd::Failed {
                reason: condition.reason.clone().unwrap_or_default(),
                message: condition.message.clone().unwrap_or_default(),
            }),
            _ => None,
        })
}

/// How far the pod is, judged by the container of that name.
#[must_use]
pub fn stage(pod: &Pod, container: &str) -> PodStage {
    let Some(status) = &pod.status else {
        return PodStage::Unscheduled { why: None };
    };
    let empty = Vec::new();
    let main = status.container_statuses.as_ref().unwrap_or(&empty);
    if let Some(mut end) = main
        .iter()
        .find(|status| status.name == container)
        .and_then(container_end)
    {
        // The container of an evicted pod says only that it was killed.
        if let Some(reason) = pod_reason(pod) {
            end.reason = Some(reason);
        }
        return PodStage::Ended(end);
    }
    let init = status.init_container_statuses.as_ref().unwrap_or(&empty);
    if let Some(blocked) = init
        .iter()
        .find_map(failed_init)
        .or_else(|| init.iter().chain(main).find_map(blocked))
    {
        return blocked;
    }
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return PodStage::EndUnknown {
            why: pod_reason(pod).unwrap_or_else(|| "no reason is given".to_owned()),
        };
    }
    let running =
        |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    if main
        .iter()
        .any(|status| status.name == container && running(status))
    {
        return PodStage::Running;
    }
    let bound = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.as_ref().is_some_and(|node| !node.is_empty()));
    if bound {
        PodStage::Starting
    } else {
        PodStage::Unscheduled {
            why: scheduler_message(pod),
        }
    }
}

/// Why the pod as a whole ended: set when something other than its containers ended it.
fn pod_reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref().filter(|reason| !reason.is_empty())?;
    Some(
        status
            .message
            .as_ref()
            .map_or(reason.to_owned(), |message| format!("{reason}: {message}")),
    )
}

fn container_end(status: &ContainerStatus) -> Option<ContainerEnd> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    Some(ContainerEnd {
        exit_code: ended.exit_code,
        reason: ended.reason.clone().filter(|reason| !reason.is_empty()),
        message: ended.message.clone().unwrap_or_default(),
    })
}

fn failed_init(status: &ContainerStatus) -> Option<PodStage> {
    let end = container_end(status).filter(|end| end.exit_code != 0)?;
    let reason = end.reason.unwrap_or_default();
    let message = end.message.trim();
    let why = format!(
        "init container exited with code {} ({reason}) {message}",
        end.exit_code
    );
    Some(PodStage::Blocked {
        container: status.name.clone(),
        why: why.trim().to_owned(),
    })
}

fn blocked(status: &ContainerStatus) -> Option<PodStage> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| BLOCKED.contains(reason))?;
    let message = waiting.message.as_deref().unwrap_or("no message");
    Some(PodStage::Blocked {
        container: status.name.clone(),
        why: format!("{reason}: {message}"),
    })
}

fn scheduler_message(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let reason = scheduled.reason.clone().unwrap_or_default();
    Some(
        scheduled
            .message
            .as_ref()
            .map_or(reason.clone(), |message| format!("{reason}: {message}")),
    )
}

/// One line for a person: `phase=Pending, init/write-prompt: running, opencode: waiting (PodInitializing)`.
#[must_use]
pub fn describe(pod: &Pod) -> String {
    let Some(status) = &pod.status else {
        return "phase=Unknown".to_owned();
    };
    let mut text = format!("phase={}", status.phase.as_deref().unwrap_or("Unknown"));
    let empty = Vec::new();
    let parts = status
        .init_container_statuses
        .as_ref()
        .unwrap_or(&empty)
        .iter()
        .map(|status| ("init/", status));
    for (prefix, container) in parts.chain(
        status
            .container_statuses
            .as_ref()
            .unwrap_or(&empty)
            .iter()
            .map(|s| ("", s)),
    ) {
        text.push_str(&format!(
            ", {prefix}{}: {}",
            container.name,
            describe_state(container.state.as_ref())
        ));
    }
    text
}

fn describe_state(state: Option<&ContainerState>) -> String {
    let Some(state) = state else {
        return "waiting".to_owned();
    };
    if let Some(ended) = &state.terminated {
        return format!("ended (exit {})", ended.exit_code);
    }
    if state.running.is_some() {
        return "running".to_owned();
    }
    match state
        .waiting
        .as_ref()
        .and_then(|waiting| waiting.reason.as_deref())
    {
        Some(reason) => format!("waiting ({reason})"),
        None => "waiting".to_owned(),
    }
}

/// Whether the pod belongs to the Job of this uid. Its labels do not tell: another Job may have had the same name.
#[must_use]
pub fn is_owned_by(pod: &Pod, job_uid: &str) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners.iter().any(|owner| owner.uid == job_uid)
}

/// Whether the pod belongs to this Job.
#[must_use]
pub fn is_of(pod: &Pod, job: &Job) -> bool {
    let uid = job.metadata.uid.as_deref();
    uid.is_some_and(|uid| is_owned_by(pod, uid))
}

/// The pod that the Job's controller made first. A later one (after a deletion or an eviction) does not start opencode.
#[must_use]
pub fn first_pod<P: AsRef<Pod>>(pods: &[P]) -> Option<&Pod> {
    pods.iter().map(AsRef::as_ref).min_by_key(|pod| {
        (
            pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
            pod.metadata.name.clone(),
        )
    })
}

/// How the container of the pod of this name ended. The end of another pod of the Job says nothing about opencode.
#[must_use]
pub fn end_in<P: AsRef<Pod>>(pods: &[P], name: &str, container: &str) -> Option<ContainerEnd> {
    let mut pods = pods.iter().map(AsRef::as_ref);
    let pod = pods.find(|pod| pod.metadata.name.as_deref() == Some(name))?;
    match stage(pod, container) {
        PodStage::Ended(end) => Some(end),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).expect("a pod")
    }

    fn job(value: serde_json::Value) -> Job {
        serde_json::from_value(value).expect("a job")
    }

    #[test]
    fn a_job_ends_by_its_conditions_only() {
        assert_eq!(job_end(&job(json!({"status": {"succeeded": 1}}))), None);
        let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        assert_eq!(job_end(&job(complete)), Some(JobEnd::Complete));
        let failing = json!({"status": {"conditions": [{"type": "Failed", "status": "False"}]}});
        assert_eq!(job_end(&job(failing)), None);
        let failed = json!({"status": {"conditions": [
            {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"},
            {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]}});
        let end = JobEnd::Failed {
            reason: "DeadlineExceeded".to_owned(),
            message: "too long".to_owned(),
        };
        assert_eq!(job_end(&job(failed)), Some(end));
    }

    #[test]
    fn the_stage_follows_the_pod() {
        let unschedulable = json!({"status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}});
        let why = Some("Unschedulable: 0/3 nodes".to_owned());
        assert_eq!(
            stage(&pod(unschedulable), "opencode"),
            PodStage::Unscheduled { why }
        );
        let starting = json!({"spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Pending"}});
        assert_eq!(stage(&pod(starting), "opencode"), PodStage::Starting);
        let running = json!({"status": {"phase": "Running", "containerStatuses": [
            {"name": "opencode", "image": "", "imageID": "", "ready": true, "restartCount": 0,
             "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
        assert_eq!(stage(&pod(running), "opencode"), PodStage::Running);
    }

    #[test]
    fn an_image_that_cannot_be_pulled_blocks_and_an_unbound_claim_does_not() {
        let pulling = json!({"spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}});
        let why = "ImagePullBackOff: no such image".to_owned();
        assert_eq!(
            stage(&pod(pulling), "opencode"),
            PodStage::Blocked {
                container: "opencode".to_owned(),
                why
            }
        );
    }

    #[test]
    fn a_failed_init_container_blocks_although_the_pod_is_over() {
        let failed = json!({"spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Failed", "initContainerStatuses": [
            {"name": "write-prompt", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"terminated": {"exitCode": 71, "reason": "Error", "message": "no folder"}}}]}});
        let PodStage::Blocked { container, why } = stage(&pod(failed), "opencode") else {
            panic!("not blocked")
        };
        assert_eq!((container.as_str(), why.contains("71")), ("write-prompt", true));
    }

    #[test]
    fn the_end_of_a_second_pod_is_not_the_agents() {
        let named = |name: &str, state: serde_json::Value| {
            pod(
                json!({"metadata": {"name": name}, "status": {"containerStatuses": [
                {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}),
            )
        };
        let ended = |code: i32| json!({"terminated": {"exitCode": code, "reason": "Error"}});
        let second = named("job-b", ended(64));
        let code = |first: serde_json::Value| {
            let pods = [Arc::new(second.clone()), Arc::new(named("job-a", first))];
            end_in(&pods, "job-a", "opencode").map(|end| end.exit_code)
        };
        assert_eq!(code(json!({"running": {}})), None);
        assert_eq!(code(ended(143)), Some(143));
    }

    #[test]
    fn an_evicted_pod_without_container_status_has_an_unknown_end() {
        let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "disk pressure"}});
        let why = "Evicted: disk pressure".to_owned();
        assert_eq!(stage(&pod(evicted), "opencode"), PodStage::EndUnknown { why });
    }
}
