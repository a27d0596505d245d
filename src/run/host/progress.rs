//! Where a run is, for the person who looks at its page. Pure: what is said for a state, and how often. `reporter` tells it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde::Serialize;
use tokio::time::Instant;

use crate::cluster::conditions::{PodStage, stage};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::opencode::Activity;
use crate::run::redact::display::Redactor;

/// No two calls are closer.
pub const PACE: Duration = Duration::from_secs(1);
/// What the host keeps of a message, a tool's name and the agent's words.
const MESSAGE: usize = 180;
const TOOL: usize = 80;
const WORDS: usize = 220;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// The cluster, the server's own pod and the volume are looked at.
    #[default]
    Preparing,
    /// Other runs of the agent come first.
    Waiting {
        /// Who.
        who: String,
    },
    /// The Job is being created.
    Creating,
    /// The pod has no node yet.
    Unscheduled {
        /// The scheduler's words.
        why: Option<String>,
    },
    /// The node mounts the volumes and gets the next container's image.
    Pulling {
        /// The image.
        image: String,
        /// The node's name.
        node: String,
    },
    /// The prompt is handed over.
    Starting,
    /// opencode is at work.
    Running,
    /// opencode has ended; the log is read to its proven end.
    Proving,
    /// Job, Secret and files are removed.
    CleaningUp,
}

/// What is told to the host, with its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// A word that adapter-utils knows. It has none for an agent at work, so the start's goes on until the end's.
    phase: &'static str,
    message: String,
    current_tool_name: Option<String>,
    last_assistant_snippet: Option<String>,
}

/// Everything that is known at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunState {
    /// How far the run is.
    pub phase: Phase,
    /// What the agent does.
    pub activity: Activity,
    /// What must not be shown of it.
    pub redactor: Redactor,
    /// The host wants to hear it, from this moment on.
    pub wanted: Option<Instant>,
}

impl RunState {
    /// In words.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let line = |text: &str, limit| self.redactor.line(text, limit);
        let said = |phase, message: &str| Progress {
            phase,
            message: line(message, MESSAGE),
            current_tool_name: None,
            last_assistant_snippet: None,
        };
        match &self.phase {
            Phase::Preparing => said("adapter_startup", "Preparing the run"),
            Phase::Waiting { who } => said("adapter_startup", &format!("Waiting for {who}")),
            Phase::Creating => said("adapter_startup", "Creating the Job"),
            Phase::Unscheduled { why: None } => said("adapter_startup", "Waiting for a node"),
            Phase::Unscheduled { why: Some(why) } => {
                said("adapter_startup", &format!("Waiting for a node: {why}"))
            }
            Phase::Pulling { image, node } => {
                said("adapter_startup", &format!("Pulling the image {image} on {node}"))
            }
            Phase::Starting => said("adapter_startup", "Starting the agent"),
            Phase::Running => self.working(),
            Phase::Proving => said("finalize", "The agent has ended; reading its log to the end"),
            Phase::CleaningUp => said("finalize", "Cleaning up"),
        }
    }

    fn working(&self) -> Progress {
        let shown = |text: String| (!text.is_empty()).then_some(text);
        let tool = self.activity.tool.as_deref();
        let tool = tool.and_then(|name| shown(self.redactor.line(name, TOOL)));
        let words = self.activity.words.as_deref();
        let words = words.and_then(|text| shown(self.redactor.last_words(text, WORDS)));
        let message = match (&tool, self.activity.words.as_deref()) {
            (Some(tool), _) => Some(format!("Using {tool}")),
            (None, Some(text)) => shown(self.redactor.last_words(text, MESSAGE)),
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

/// Where a pod is on its way; `None` when it is over, which others judge.
///
/// That an image is being pulled is told by events only, which the adapter does not read: between two containers the
/// node gets what the next one needs, and that is mostly its image.
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
    let init = pod
        .status
        .as_ref()?
        .init_container_statuses
        .as_deref()
        .unwrap_or_default();
    let state = |status: &ContainerStatus| status.state.clone().unwrap_or_default();
    if init.iter().any(|status| state(status).running.is_some()) {
        return Some(Phase::Starting);
    }
    let has_ended = |status: &ContainerStatus| state(status).terminated.is_some();
    let next = match init.iter().all(has_ended) && !init.is_empty() {
        true => spec
            .containers
            .iter()
            .find(|container| container.name == OPENCODE_CONTAINER),
        false => spec.init_containers.as_ref().and_then(|init| init.first()),
    };
    Some(Phase::Pulling {
        image: next
            .and_then(|container| container.image.clone())
            .unwrap_or_default(),
        node: spec.node_name.clone().unwrap_or_default(),
    })
}

/// When a state may be told: never twice, never two within [`PACE`], and the last one always.
#[derive(Debug, Default)]
pub struct Throttle {
    last: Option<(Instant, Progress)>,
}

impl Throttle {
    /// The earliest moment for this state; `None` when it was told last, or is not wanted.
    #[must_use]
    pub fn due(&self, now: &RunState) -> Option<Instant> {
        let wanted = now.wanted?;
        match &self.last {
            Some((_, told)) if *told == now.progress() => None,
            Some((at, _)) => Some(*at + PACE),
            None => Some(wanted),
        }
    }

    /// It is being told.
    pub fn told(&mut self, at: Instant, progress: Progress) {
        self.last = Some((at, progress));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(node: Option<&str>, status: Value) -> Pod {
        serde_json::from_value(json!({
            "spec": {"nodeName": node, "initContainers": [{"name": "write-prompt", "image": "init:1"}],
                "containers": [{"name": "opencode", "image": "agent:1"}]}, "status": status}))
        .expect("a pod")
    }

    fn container(name: &str, state: Value) -> Value {
        json!([{"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}])
    }

    #[test]
    fn a_pod_is_somewhere_on_its_way() {
        let waiting = |reason: &str| json!({"waiting": {"reason": reason}});
        let running = json!({"running": {}});
        let pulling = |image: &str| Phase::Pulling {
            image: image.to_owned(),
            node: "n1".to_owned(),
        };
        let cases = [
            (
                pod(None, json!({"phase": "Pending"})),
                Some(Phase::Unscheduled { why: None }),
            ),
            (
                pod(Some("n1"), json!({"phase": "Pending"})),
                Some(pulling("init:1")),
            ),
            (
                pod(
                    Some("n1"),
                    json!({"initContainerStatuses": container("write-prompt", waiting("PodInitializing"))}),
                ),
                Some(pulling("init:1")),
            ),
            (
                pod(
                    Some("n1"),
                    json!({"initContainerStatuses": container("write-prompt", json!({"terminated": {"exitCode": 0}})),
                        "containerStatuses": container("opencode", waiting("PodInitializing"))}),
                ),
                Some(pulling("agent:1")),
            ),
            (
                pod(
                    Some("n1"),
                    json!({"initContainerStatuses": container("write-prompt", running.clone())}),
                ),
                Some(Phase::Starting),
            ),
            (
                pod(
                    Some("n1"),
                    json!({"containerStatuses": container("opencode", running)}),
                ),
                Some(Phase::Running),
            ),
            (
                pod(
                    Some("n1"),
                    json!({"containerStatuses": container("opencode", json!({"terminated": {"exitCode": 0}}))}),
                ),
                None,
            ),
        ];
        for (pod, phase) in cases {
            assert_eq!(phase_of(&pod), phase, "{:?}", pod.status);
        }
    }

    fn at_work(tool: Option<&str>, words: Option<&str>) -> RunState {
        RunState {
            phase: Phase::Running,
            activity: Activity {
                tool: tool.map(str::to_owned),
                words: words.map(str::to_owned),
            },
            wanted: Some(Instant::now()),
            ..RunState::default()
        }
    }

    #[test]
    fn an_agent_at_work_shows_its_tool_or_its_words() {
        let shown = |now: &RunState| serde_json::to_value(now.progress()).expect("plain data");
        assert_eq!(
            shown(&at_work(Some("bash"), Some("I look\ninto it."))),
            json!({"phase": "adapter_startup", "message": "Using bash", "currentToolName": "bash",
                "lastAssistantSnippet": "I look into it."})
        );
        let words = shown(&at_work(None, Some("Done.")));
        assert_eq!(
            (&words["message"], &words["currentToolName"]),
            (&json!("Done."), &Value::Null)
        );
        assert_eq!(shown(&at_work(None, None))["message"], "The agent is at work");
        let long = shown(&at_work(Some(&"t".repeat(500)), Some(&"word ".repeat(500))));
        let chars = |field: &str| long[field].as_str().map(|text| text.chars().count());
        assert!(chars("message") <= Some(MESSAGE) && chars("currentToolName") <= Some(TOOL));
        assert!(chars("lastAssistantSnippet") <= Some(WORDS));
    }

    #[test]
    fn phases_are_words_of_the_host() {
        let places = [
            Phase::Preparing,
            Phase::Waiting { who: "a".to_owned() },
            Phase::Creating,
            Phase::Unscheduled {
                why: Some("0/3 nodes".to_owned()),
            },
            Phase::Pulling {
                image: "i".to_owned(),
                node: "n".to_owned(),
            },
            Phase::Starting,
            Phase::Running,
            Phase::Proving,
            Phase::CleaningUp,
        ];
        for phase in places {
            let now = RunState {
                phase,
                ..RunState::default()
            };
            let progress = now.progress();
            assert!(["adapter_startup", "finalize"].contains(&progress.phase));
            assert!(!progress.message.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_a_second_and_none_for_the_same() {
        let mut throttle = Throttle::default();
        let first = at_work(Some("read"), None);
        let start = Instant::now();
        assert_eq!(throttle.due(&first), Some(start));
        throttle.told(start, first.progress());
        assert_eq!(throttle.due(&first), None);
        tokio::time::advance(Duration::from_millis(300)).await;
        let second = at_work(Some("bash"), None);
        assert_eq!(throttle.due(&second), Some(start + PACE));
        assert_eq!(
            throttle.due(&RunState {
                wanted: None,
                ..second
            }),
            None
        );
    }
}
