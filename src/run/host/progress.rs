//! How far a run is, in words for its page, and how often they may be sent. `reporter` sends them. Pure.

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use tokio::time::Instant;

use crate::cluster::conditions::{PodStage, held_by, stage};
use crate::manifest::names::{OPENCODE_CONTAINER, PROMPT_CONTAINER};
use crate::metrics::RunPhase;
use crate::opencode::Activity;
use crate::run::redact::display::Redactor;
use crate::run::timing::PROGRESS_INTERVAL;

/// How many characters the host keeps of a message, a tool's name and the agent's text.
const MESSAGE_CHARS: usize = 180;
const TOOL_CHARS: usize = 80;
const TEXT_CHARS: usize = 220;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// The adapter connects to the cluster and reads the server's own pod.
    #[default]
    Preparing,
    /// The run waits for other runs of the agent.
    Waiting {
        /// For which.
        who: String,
    },
    /// The namespace has as many runs as it may have.
    WaitingForPlace,
    /// The Job is being created.
    Creating,
    /// The Job is suspended: it waits in a queue, and no clock of the run goes.
    Queued {
        /// The queue, where the Job names one.
        queue: Option<String>,
    },
    /// The pod has no node yet.
    Unscheduled {
        /// The scheduler's message.
        why: Option<String>,
    },
    /// The node mounts the volumes and pulls the next container's image.
    Pulling {
        /// The image.
        image: String,
        /// The node's name.
        node: String,
    },
    /// The node says why a container of ours does not start yet: the image, a volume, a Secret.
    Held {
        /// Why.
        why: String,
        /// The node's name.
        node: String,
    },
    /// The init container writes the prompt.
    Starting,
    /// opencode is at work.
    Running,
    /// The Job is ended by the adapter; opencode may be at work until its pods are gone.
    Ending,
    /// Nobody can say what opencode does; the log is read as far as it is.
    GivenUp,
    /// opencode has ended; the log is read to its proven end.
    Proving,
    /// opencode cannot start any more; the Job is ended.
    NotStarted,
    /// Job, Secret and files are removed.
    CleaningUp,
}

/// The payload of a progress call, with the host's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// A phase that the host knows. It has none for an agent at work, so `adapter_startup` stays until `finalize`.
    phase: &'static str,
    message: String,
    current_tool_name: Option<String>,
    last_assistant_snippet: Option<String>,
}

/// What a progress call is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunState {
    /// How far the run is.
    pub phase: Phase,
    /// What the agent does.
    pub activity: Activity,
    /// Masks secrets in it.
    pub redactor: Redactor,
    /// Progress is sent from this moment on; `None`: the host does not want it.
    pub wanted_from: Option<Instant>,
}

impl Phase {
    /// The phase as it is counted.
    #[must_use]
    pub fn counted(&self) -> RunPhase {
        match self {
            Self::Preparing => RunPhase::Preparing,
            Self::Waiting { .. } => RunPhase::Waiting,
            Self::WaitingForPlace => RunPhase::WaitingForPlace,
            Self::Creating => RunPhase::Creating,
            Self::Queued { .. } => RunPhase::Queued,
            Self::Unscheduled { .. } => RunPhase::Unscheduled,
            Self::Pulling { .. } | Self::Held { .. } => RunPhase::Pulling,
            Self::Starting => RunPhase::Starting,
            Self::Running => RunPhase::Running,
            Self::Ending => RunPhase::Ending,
            Self::GivenUp | Self::Proving => RunPhase::Proving,
            Self::NotStarted => RunPhase::NotStarted,
            Self::CleaningUp => RunPhase::CleaningUp,
        }
    }
}

impl RunState {
    /// The payload of this state.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let line = |text: &str, limit| self.redactor.line(text, limit);
        let said = |phase, message: &str| Progress {
            phase,
            message: line(message, MESSAGE_CHARS),
            current_tool_name: None,
            last_assistant_snippet: None,
        };
        match &self.phase {
            Phase::Preparing => said("adapter_startup", "Preparing the run"),
            Phase::Waiting { who } => said("adapter_startup", &format!("Waiting for {who}")),
            Phase::WaitingForPlace => said("adapter_startup", "Waiting for a place"),
            Phase::Queued { queue: Some(queue) } => said("adapter_startup", &format!("Queued in {queue}")),
            Phase::Queued { queue: None } => said("adapter_startup", "Queued: the Job is suspended"),
            Phase::Creating => said("adapter_startup", "Creating the Job"),
            Phase::Unscheduled { why: None } => said("adapter_startup", "Waiting for a node"),
            Phase::Unscheduled { why: Some(why) } => {
                said("adapter_startup", &format!("Waiting for a node: {why}"))
            }
            Phase::Pulling { image, node } => {
                said("adapter_startup", &format!("Pulling the image {image} on {node}"))
            }
            Phase::Held { why, node } => {
                said("adapter_startup", &format!("Not started yet on {node}: {why}"))
            }
            Phase::Starting => said("adapter_startup", "Starting the agent"),
            Phase::Running => self.working(),
            Phase::Ending => said("finalize", "Ending the agent's Job"),
            Phase::GivenUp => said("finalize", "The Kubernetes API is away; reading the log so far"),
            Phase::Proving => said("finalize", "The agent has ended; reading its log to the end"),
            Phase::NotStarted => said("finalize", "The agent did not start; ending its Job"),
            Phase::CleaningUp => said("finalize", "Cleaning up"),
        }
    }

    fn working(&self) -> Progress {
        let shown = |text: String| (!text.is_empty()).then_some(text);
        let tool = self.activity.tool.as_deref();
        let tool = tool.and_then(|name| shown(self.redactor.line(name, TOOL_CHARS)));
        let words = self.activity.words.as_deref();
        let words = words.and_then(|text| shown(self.redactor.last_words(text, TEXT_CHARS)));
        let message = match (&tool, self.activity.words.as_deref()) {
            (Some(tool), _) => Some(format!("Using {tool}")),
            (None, Some(text)) => shown(self.redactor.last_words(text, MESSAGE_CHARS)),
            (None, None) => None,
        };
        Progress {
            phase: "adapter_startup",
            message: message.unwrap_or_else(|| "The agent is at work".to_owned()),
            current_tool_name: tool,
            last_assistant_snippet: words,
        }
    }
}

/// The phase of a run with this pod; `None` when the pod's agent has ended.
///
/// Only events tell that an image is being pulled, and the adapter does not read them. But between two containers the
/// node mostly pulls the image of the next one.
#[must_use]
pub fn phase_of(pod: &Pod) -> Option<Phase> {
    match stage(pod, OPENCODE_CONTAINER) {
        PodStage::Unscheduled { why } => Some(Phase::Unscheduled { why }),
        PodStage::Starting | PodStage::Blocked { .. } => on_node(pod),
        PodStage::Running => Some(Phase::Running),
        PodStage::Ended(_) | PodStage::EndUnknown { .. } => None,
    }
}

fn on_node(pod: &Pod) -> Option<Phase> {
    let spec = pod.spec.as_ref()?;
    let node = spec.node_name.clone().unwrap_or_default();
    if let Some(why) = held_by(pod, OPENCODE_CONTAINER) {
        return Some(Phase::Held { why, node });
    }
    let init = pod
        .status
        .as_ref()?
        .init_container_statuses
        .as_deref()
        .unwrap_or_default();
    // Others may have put theirs before or beside ours.
    let prompt = init.iter().find(|status| status.name == PROMPT_CONTAINER);
    let prompt = prompt.and_then(|status| status.state.clone()).unwrap_or_default();
    if prompt.running.is_some() {
        return Some(Phase::Starting);
    }
    let next = match prompt.terminated.is_some() {
        true => spec
            .containers
            .iter()
            .find(|container| container.name == OPENCODE_CONTAINER),
        false => {
            let mut init = spec.init_containers.iter().flatten();
            init.find(|container| container.name == PROMPT_CONTAINER)
        }
    };
    Some(Phase::Pulling {
        image: next
            .and_then(|container| container.image.clone())
            .unwrap_or_default(),
        node,
    })
}

/// When a state may be sent: no two calls within [`PROGRESS_INTERVAL`], no payload twice in a row unless an event came
/// between, and the last state always.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When something was sent last, and what the host shows of it.
    last: Option<(Instant, Option<Progress>)>,
}

impl Throttle {
    /// The earliest moment for this state; `None` when it was sent last, or the host does not want progress.
    #[must_use]
    pub fn due(&self, now: &RunState) -> Option<Instant> {
        let wanted_from = now.wanted_from?;
        match &self.last {
            Some((_, Some(shown))) if *shown == now.progress() => None,
            Some((at, _)) => Some(*at + PROGRESS_INTERVAL),
            None => Some(wanted_from),
        }
    }

    /// This payload is being sent.
    pub fn sent(&mut self, at: Instant, progress: Progress) {
        self.last = Some((at, Some(progress)));
    }

    /// The host shows something else in its place.
    pub fn replaced(&mut self) {
        self.last = self.last.take().map(|(at, _)| (at, None));
    }
}

#[cfg(test)]
mod tests;
