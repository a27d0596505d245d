//! The only room that opens, makes or removes files. Every path on the shared volume is hostile: it is the agents'
//! own HOME. So each of ours is walked from a folder handle of the data root, one component at a time, following
//! no symlink.

mod file;
mod files_of_run;
mod place;
mod stat;
mod survey;

pub use file::FileSource;
pub use files_of_run::{Ownership, PrepareError, RunFiles};
pub use place::Place;
pub use stat::freshness_at;
pub use survey::{OldRun, old_runs};

use std::time::Duration;

/// What stands at the path, as far as the open handle tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Device and inode: another value means another file.
    pub identity: (u64, u64),
    /// Size in bytes. May be stale on network volumes: growth is learnt by reading.
    pub size: u64,
    /// Hard links; 0 means the file was removed or replaced.
    pub links: u64,
}

/// How late a file system shows what another machine wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A file system of this machine: what was written is seen at once.
    Local,
    /// Shared, and coherent by design (CephFS).
    Coherent,
    /// Shared, with caches of attributes and pages (NFS, SMB, FUSE, 9p, and what is not known).
    Cached,
}

impl Freshness {
    /// How old a handle may get before the path is opened afresh.
    #[must_use]
    pub fn handle_lifetime(self) -> Duration {
        Duration::from_secs(if self == Self::Local { 30 } else { 2 })
    }

    /// How long bytes that the pod has flushed may stay invisible here.
    #[must_use]
    pub fn proof_limit(self) -> Duration {
        Duration::from_secs(if self == Self::Cached { 65 } else { 5 })
    }
}

/// Why a look at the file failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there (yet, or any more).
    #[error("no such file")]
    Missing,
    /// Something is there that must not be read.
    #[error("{0}")]
    Hostile(String),
    /// The file system answered with an error; it may pass.
    #[error("{0}")]
    Io(rustix::io::Errno),
}

impl From<rustix::io::Errno> for SourceError {
    fn from(errno: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match errno {
            Errno::NOENT => Self::Missing,
            Errno::LOOP => Self::Hostile("it is a symbolic link, which is not followed".to_owned()),
            Errno::NOTDIR => Self::Hostile("a folder of its path is a symbolic link or no folder".to_owned()),
            other => Self::Io(other),
        }
    }
}

/// Where the bytes of one log come from. The second implementation is the fault-injecting one of the tests.
pub trait LogSource: Send {
    /// What stands at the path now, whichever file is open.
    ///
    /// # Errors
    /// See [`SourceError`]; the caller decides which of them end the tail.
    fn look(&mut self) -> Result<Seen, SourceError>;

    /// Opens what stands at the path now. The handle before it is given up only when this succeeds.
    ///
    /// # Errors
    /// As `look`.
    fn open(&mut self) -> Result<Seen, SourceError>;

    /// Reads the open file at `offset` into `buffer`; 0 means that nothing is there now.
    ///
    /// # Errors
    /// As `look`; then the handle is of no more use.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Drops the handles.
    fn close(&mut self);

    /// What the file system is known to hide.
    fn freshness(&self) -> Freshness;

    /// What stalls together: files of one mount give the same name, which is also shown to people.
    fn mount(&self) -> &str;
}
