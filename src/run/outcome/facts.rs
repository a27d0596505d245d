//! What is known about a finished run when it is judged.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::opencode::bounded::prefix;
use crate::opencode::{Circle, Summary};

/// How much of a reason is shown.
const REASON_BYTES: usize = 400;

/// Whether the whole log was read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogState {
    /// Count and digest match the pod's end record.
    Proven,
    /// The count matches; the record has no digest.
    Counted,
    /// There is no end record.
    #[default]
    Unproven,
    /// There is an end record, and bytes are missing.
    Incomplete,
}

impl LogState {
    /// Whether every byte that the pod counted was read.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Proven | Self::Counted)
    }
}

/// The session the run was to resume: its id, or the parameters stored with it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Session {
    /// The id alone.
    Id(String),
    /// `{sessionId, cwd?, workspaceId?, repoUrl?, repoRef?, …}`.
    Params(Map<String, Value>),
    /// Anything else: no session.
    Other(Value),
}

/// `null` counts as absent.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An exit code may come as a float: JavaScript has one kind of number.
#[expect(clippy::cast_possible_truncation, reason = "a float-to-int cast saturates")]
fn exit_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.map(|code| code as i32))
}

impl Session {
    pub(crate) fn id(&self) -> Option<&str> {
        let id = match self {
            Self::Id(id) => id.as_str(),
            Self::Params(params) => params
                .get("sessionId")
                .and_then(Value::as_str)
                .unwrap_or_default(),
            Self::Other(_) => "",
        };
        let id = id.trim();
        (!id.is_empty()).then_some(id)
    }
}

/// The facts with the whole stdout: the argument of the exported `resolveOutcome`.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// All of opencode's stdout.
    #[serde(deserialize_with = "or_default")]
    pub stdout: String,
    /// opencode's stderr, or its end.
    #[serde(deserialize_with = "or_default")]
    pub stderr: String,
    /// Exit code of opencode; `None` when it is unknown.
    #[serde(deserialize_with = "exit_code")]
    pub exit_code: Option<i32>,
    /// Signal that ended it, if one did.
    pub signal: Option<String>,
    /// The container's or the pod's reason (`OOMKilled`, `Error`, `Evicted`, …), which may go on after a colon;
    /// `k8s_log_too_large` when the pod ended opencode for the size of its log.
    pub reason: Option<String>,
    /// Whether the whole log was read.
    #[serde(deserialize_with = "or_default")]
    pub log_state: LogState,
    /// The deadline passed.
    #[serde(deserialize_with = "or_default")]
    pub timed_out: bool,
    /// That deadline, for the message.
    pub timeout_sec: Option<f64>,
    /// The issue was cancelled.
    #[serde(deserialize_with = "or_default")]
    pub cancelled: bool,
    /// The model as configured, with or without its provider.
    pub model: Option<String>,
    /// The session the run was to resume and the parameters to store with the new one.
    pub session: Option<Session>,
}

/// The same facts after an incremental fold.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct FoldedFacts {
    /// What the stream says.
    pub summary: Summary,
    /// Whole lines of stdout for `resultJson`, already bounded; see [`super::Excerpt`].
    pub stdout_excerpt: String,
    /// As in [`Facts`].
    pub stderr: String,
    /// As in [`Facts`].
    pub exit_code: Option<i32>,
    /// As in [`Facts`].
    pub signal: Option<String>,
    /// As in [`Facts`].
    pub reason: Option<String>,
    /// As in [`Facts`].
    pub log_state: LogState,
    /// As in [`Facts`].
    pub timed_out: bool,
    /// As in [`Facts`].
    pub timeout_sec: Option<f64>,
    /// As in [`Facts`].
    pub cancelled: bool,
    /// As in [`Facts`].
    pub model: Option<String>,
    /// As in [`Facts`].
    pub session: Option<Session>,
    /// The run was ended because it repeated itself without getting on.
    pub ended_in_circle: bool,
    /// The run was ended because it printed nothing for so many seconds.
    pub silent_for_sec: Option<u64>,
    /// Nothing shows that opencode was started: no start record, no end record, no output.
    pub unstarted: bool,
}

impl FoldedFacts {
    /// The reason as it can stand in a sentence; empty where there is none.
    pub(super) fn shown_reason(&self) -> &str {
        let reason = self.reason.as_deref().unwrap_or_default().trim();
        prefix(reason, REASON_BYTES).trim_end_matches(['.', ' '])
    }

    /// The first word of the reason: the others are for a person.
    pub(super) fn reason_class(&self) -> &str {
        let reason = self.shown_reason();
        reason.split_once(':').map_or(reason, |(class, _)| class)
    }

    /// The id of the session that the run was to resume.
    pub(crate) fn resumed(&self) -> Option<&str> {
        self.session.as_ref().and_then(Session::id)
    }

    /// Whether the session holds more than this run's prompt.
    pub(crate) fn has_history(&self) -> bool {
        self.resumed().is_some() || self.summary.steps_started > 0
    }

    /// Whether opencode compacted the session again and again, without getting below the model's limit.
    pub(crate) fn is_compacting(&self) -> bool {
        matches!(self.summary.circle, Some(Circle::Compaction(_)))
    }

    /// The circle that the run was in, in words.
    pub(crate) fn circle(&self) -> Option<String> {
        Some(match self.summary.circle? {
            Circle::Compaction(times) => {
                format!("opencode compacted the conversation {times} times, and the context stayed too long")
            }
            Circle::NoAnswer(steps) => {
                format!(
                    "the provider's answers ended without a known reason, and opencode kept asking ({steps} steps)"
                )
            }
            Circle::Answered(times) => {
                format!("the agent had answered, and was asked {times} times to go on without doing anything")
            }
        })
    }
}
