//! A Job that is followed to its end, with the tails of its files.

use crate::config::RunSpec;
use crate::run::job::handle::JobHandle;
use crate::tail::Tail;

/// A Job whose files are followed.
pub(crate) struct AttachedJob {
    /// The run as configured.
    pub(crate) spec: Box<RunSpec>,
    /// The Job and its files.
    pub(crate) handle: JobHandle,
    /// opencode's stdout.
    pub(crate) stdout: Tail,
    /// opencode's stderr.
    pub(crate) stderr: Tail,
}

/// What the followed Job is to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The run itself, or one that answers the same prompt: its report is the run's.
    Own,
    /// An earlier run of the task that is still on: it is delivered, and then this run starts.
    Earlier,
    /// An earlier run of the task that nobody harvested: it is reported, and then this run starts.
    Ended,
}
