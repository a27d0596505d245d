//! What a run tells its host: lines and status one call at a time, progress and events beside them.

pub mod batches;
pub mod log;
pub mod progress;
pub mod reporter;

use futures::future::BoxFuture;

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole lines of the agent, or status lines.
    Stdout,
    /// Warnings, and the agent's stderr.
    Stderr,
    /// The invocation, as JSON, once.
    Meta,
    /// Where the run is, as JSON.
    Progress,
    /// Something an operator looks for, as JSON.
    Event,
    /// The Job is about to be created.
    Dispatch,
}

impl Kind {
    /// The word that the host sees.
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
    /// Resolves when the host has taken it.
    fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>>;
}

/// A host that wants to hear nothing.
pub struct SilentHost;

impl Host for SilentHost {
    fn say(&self, _kind: Kind, _payload: String) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
