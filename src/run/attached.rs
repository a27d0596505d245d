//! A Job that is followed to its end, with the tails of its files.

use crate::config::RunSpec;
use crate::run::job::handle::JobHandle;
use crate::tail::Tail;

/// A Job whose files are followed.
pub(crate) struct AttachedJob {
    /// The run as configured.
    pub(crate) spec: RunSpec,
    /// The Job and its files.
    pub(crate) handle: JobHandle,
    /// opencode's stdout.
    pub(crate) stdout: Tail,
    /// opencode's stderr.
    pub(crate) stderr: Tail,
}
