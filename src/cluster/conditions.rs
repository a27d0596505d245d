//! Questions about Jobs and pods as the API server returned them. Pure.

mod description;
mod no_start;
mod reason;

pub use description::describe;
pub use no_start::{no_start_of, shows_no_start};
pub use reason::ended_because;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;

use no_start::STATUS_UNKNOWN;
use reason::{NODE_LOST, disruption, pod_reason};

use super::waiting::{is_permanent, is_silent, is_turn_to_come};
use crate::manifest::PROMPT_SECRET_VOLUME;
use crate::manifest::exit_codes;
use crate::manifest::names::PROMPT_CONTAINER;

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

/// Why the Job fails, also while its controller still ends its pods: it says so first in a condition of its own since
/// Kubernetes 1.31.
#[must_use]
pub fn fails_because(job: &Job) -> Option<&str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let mut failing = conditions.iter().filter(|condition| {
        condition.status == "True" && ["Failed", "FailureTarget"].contains(&condition.type_.as_str())
    });
    Some(failing.next()?.reason.as_deref().unwrap_or_default())
}

/// How far the pod is, judged by the container of that name and the init container before it. Whatever others put into
/// the pod (a proxy as native sidecar, an exporter) may fail, wait and be started again: it says nothing about the
/// agent.
#[must_use]
pub fn stage(pod: &Pod, container: &str) -> PodStage {
    let Some(status) = &pod.status else {
        return PodStage::Unscheduled { why: None };
    };
    let agent = container_status(status, container);
    if let Some(mut end) = agent.and_then(container_end) {
        // The container of an evicted pod says only that it was killed.
        let is_oom = end.reason.as_deref() == Some(OOM_KILLED);
        let disruption = || disruption(status).filter(|_| !is_oom);
        if let Some(reason) = pod_reason(pod).or_else(disruption) {
            end.reason = Some(reason);
        }
        return PodStage::Ended(end);
    }
    let is_over = is_over(pod);
    let is_running = agent.is_some_and(is_running);
    if !is_running && let Some(blocked) = blocked_by(pod, status, agent, is_over) {
        return blocked;
    }
    if is_over {
        return PodStage::EndUnknown {
            why: ended_because(pod).unwrap_or_else(|| "no reason is given".to_owned()),
        };
    }
    if is_running {
        return PodStage::Running;
    }
    if is_bound(pod) {
        PodStage::Starting
    } else {
        PodStage::Unscheduled {
            why: scheduler_message(pod),
        }
    }
}

/// When the pod's node says that the container of that name ended.
#[must_use]
pub fn finished_at(pod: &Pod, container: &str) -> Option<Timestamp> {
    let state = container_status(pod.status.as_ref()?, container)?
        .state
        .as_ref()?;
    Some(state.terminated.as_ref()?.finished_at.as_ref()?.0)
}

/// Whether the pod's phase is one that nothing follows.
#[must_use]
pub fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

fn container_status<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    let mut main = status.container_statuses.iter().flatten();
    main.find(|status| status.name == name)
}

fn prompt_status(status: &PodStatus) -> Option<&ContainerStatus> {
    let mut init = status.init_container_statuses.iter().flatten();
    init.find(|status| status.name == PROMPT_CONTAINER)
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// What keeps the agent's container from ever being started.
fn blocked_by(
    pod: &Pod,
    status: &PodStatus,
    agent: Option<&ContainerStatus>,
    is_over: bool,
) -> Option<PodStage> {
    let init = status.init_container_statuses.iter().flatten();
    let prompt = prompt_status(status);
    // An init container that fails ends the pod; in one that was ended as a whole, its end is no cause.
    let is_cause = is_over && ended_because(pod).is_none();
    let mut others = init.filter(|status| is_cause && !is_native_sidecar(pod, &status.name));
    let says_why = |status: &&ContainerStatus| {
        let code = container_end(status).map_or(0, |end| end.exit_code);
        !is_over || is_cause || exit_codes::describe(code).is_some()
    };
    prompt
        .filter(says_why)
        .and_then(failed_init)
        .or_else(|| others.find_map(failed_init))
        .or_else(|| {
            prompt
                .into_iter()
                .chain(agent)
                .find_map(|status| blocked(pod, status))
        })
}

/// Whether the kubelet restarts this init container beside the others, so that its end ends nothing.
fn is_native_sidecar(pod: &Pod, name: &str) -> bool {
    let spec = pod.spec.as_ref();
    let mut init = spec
        .and_then(|spec| spec.init_containers.as_ref())
        .into_iter()
        .flatten();
    init.any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
}

/// What a kubelet calls the end of a container that ran out of memory.
const OOM_KILLED: &str = "OOMKilled";
/// What is said of an init container that ran out of memory.
pub(super) const INIT_OUT_OF_MEMORY: &str = "Init container out of memory";
/// What is said of an init container whose node has lost it.
pub(super) const INIT_LOST: &str = "Node lost the init container";
/// Whether a node has it.
fn is_bound(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    node.is_some_and(|node| !node.is_empty())
}

/// Whether the API says that the agent's container does not run any more. A kubelet that removes a container before it
/// has reported its end shows the pod as over and the container as waiting again.
#[must_use]
pub fn has_ended(pod: &Pod, container: &str) -> bool {
    if matches!(stage(pod, container), PodStage::Ended(_)) {
        return true;
    }
    let Some(status) = &pod.status else {
        return false;
    };
    let is_over = is_over(pod);
    // A control plane may call a pod failed whose node it does not hear: then the kubelet's last word is "running".
    let is_heard = status.reason.as_deref() != Some(NODE_LOST);
    let shows_other = |status: &ContainerStatus| status.state.is_some() && !is_running(status);
    is_over && is_heard && container_status(status, container).is_some_and(shows_other)
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
    if let Some(why) = no_start_of(&end) {
        return Some(PodStage::Blocked {
            container: status.name.clone(),
            why,
        });
    }
    let reason = end.reason.unwrap_or_default();
    let message = end.message.trim();
    let ours = (status.name == PROMPT_CONTAINER).then(|| exit_codes::describe(end.exit_code));
    let what = ours.flatten().unwrap_or(match reason.as_str() {
        OOM_KILLED => INIT_OUT_OF_MEMORY,
        "Unknown" | STATUS_UNKNOWN => INIT_LOST,
        _ => "Init container failed",
    });
    let why = format!(
        "{what}: {} exited with code {} ({reason}) {message}",
        status.name, end.exit_code
    );
    Some(PodStage::Blocked {
        container: status.name.clone(),
        why: why.trim().to_owned(),
    })
}

fn blocked(pod: &Pod, status: &ContainerStatus) -> Option<PodStage> {
    let (reason, message) = waits_for(status)?;
    let is_lasting = is_permanent(reason, message) && !names_own_secret(pod, message);
    is_lasting.then(|| PodStage::Blocked {
        container: status.name.clone(),
        why: words(reason, message),
    })
}

/// Whether the message names the run's own Secret, which is made after its Job: a node may not know it yet.
fn names_own_secret(pod: &Pod, message: &str) -> bool {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let mut own = volumes
        .into_iter()
        .flatten()
        .filter(|volume| volume.name == PROMPT_SECRET_VOLUME);
    let named = own.find_map(|volume| volume.secret.as_ref()?.secret_name.as_ref());
    named.is_some_and(|name| message.contains(&format!("\"{name}\"")))
}

/// Why one of the Job's containers waits, where that passes by itself: what needs help is [`PodStage::Blocked`].
#[must_use]
pub fn waits_because(pod: &Pod, container: &str) -> Option<String> {
    waiting(pod, container, |reason, message| !is_silent(reason, message))
}

/// What holds one of the Job's containers, an image that is tried again later as well.
#[must_use]
pub fn held_by(pod: &Pod, container: &str) -> Option<String> {
    waiting(pod, container, |reason, _| !is_turn_to_come(reason))
}

fn waiting(pod: &Pod, container: &str, is_told: impl Fn(&str, &str) -> bool) -> Option<String> {
    let status = pod.status.as_ref()?;
    let ours = prompt_status(status)
        .into_iter()
        .chain(container_status(status, container));
    let mut waiting = ours.filter_map(|status| Some((status, waits_for(status)?)));
    let (status, (reason, message)) = waiting.find(|(_, (reason, message))| is_told(reason, message))?;
    Some(format!("container {}: {}", status.name, words(reason, message)))
}

fn waits_for(status: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    Some((
        waiting.reason.as_deref().unwrap_or_default(),
        waiting.message.as_deref().unwrap_or_default(),
    ))
}

fn words(reason: &str, message: &str) -> String {
    let message = if message.is_empty() { "no message" } else { message };
    format!("{reason}: {message}")
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

/// Where a Job's controller writes the Job's uid on its pods; the second one before Kubernetes 1.27.
const JOB_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];

/// Whether the pod belongs to the Job of this uid: by its owner, and where somebody has deleted the Job but not the pod
/// (`--cascade=orphan`), by what its controller has written. The Job's name does not tell: another may have had it.
#[must_use]
pub fn is_owned_by(pod: &Pod, job_uid: &str) -> bool {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let labels = pod.metadata.labels.as_ref();
    let is_labelled = |key: &str| {
        labels
            .and_then(|labels| labels.get(key))
            .is_some_and(|uid| uid == job_uid)
    };
    owners.iter().any(|owner| owner.uid == job_uid)
        || owners.is_empty() && JOB_UID.into_iter().any(is_labelled)
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
mod tests;
