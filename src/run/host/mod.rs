//! What a run sends to its host: lines and status one call at a time (`log`), signs of life (`keepalive`), progress and
//! events beside them (`reporter`; how long its parts took: `phase_timings`), and the calls of all runs in batches
//! (`batches`).

pub mod batches;
pub mod keepalive;
pub mod log;
pub mod phase_timings;
mod pieces;
pub mod progress;
pub mod reporter;

use futures::future::BoxFuture;

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole lines of the agent, or status lines.
    Stdout,
    /// Warnings, and the agent's stderr.
    Stderr,
    /// The invocation, as JSON, once.
    Meta,
    /// How far the run is, as JSON.
    Progress,
    /// An event for operators, as JSON.
    Event,
    /// The Job is about to be created.
    Dispatch,
}

impl Kind {
    /// The kind as the host sees it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Meta => "meta",
            Self::Progress => "progress",
            Self::Event => "event",
            Self::Dispatch => "dispatch",
        }
    }
}

/// The host's callback.
pub trait Host: Send + Sync {
    /// Calls the host; resolves with its answer. An error is the message of what the callback threw.
    fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>>;
}

/// A host that takes nothing.
pub struct SilentHost;

impl Host for SilentHost {
    fn say(&self, _kind: Kind, _payload: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
