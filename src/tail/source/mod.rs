//! The only room that opens, makes or removes files. Every path on the shared volume is hostile: agents write there,
//! it is their HOME. So a path of ours is walked from an open handle of the data root, one component at a time, and no
//! symbolic link is followed.

mod file;
mod files_of_run;
mod hand_over;
mod stat;
mod survey;
mod text_file;
mod volume_path;
mod way;

pub use file::FileSource;
pub use files_of_run::RunFiles;
pub use hand_over::{Ownership, Preparation, PrepareError};
pub use stat::freshness_at;
pub use survey::{OldRun, RunFileEnds, old_runs};
pub use text_file::{names_in, read_text, read_text_of};
pub use volume_path::VolumePath;

use std::time::Duration;

/// The state of a file, as one call of the file system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    /// Device and inode: another pair is another file.
    pub identity: (u64, u64),
    /// Size in bytes. It may be stale on network volumes: growth is learnt by reading.
    pub size: u64,
    /// Hard links; 0 means the file was removed or replaced.
    pub links: u64,
}

/// What kind of file system a file is on: how late it shows what another machine wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Of this machine: what was written shows at once.
    Local,
    /// Shared, and coherent by design (CephFS).
    Coherent,
    /// Shared, with caches of attributes and pages (NFS, SMB, FUSE, 9p), or of an unknown kind.
    Cached,
}

impl Freshness {
    /// How old a handle may become before the path is opened again.
    #[must_use]
    pub fn handle_lifetime(self) -> Duration {
        Duration::from_secs(if self == Self::Local { 30 } else { 2 })
    }

    /// How long bytes that the pod has flushed may stay invisible here.
    #[must_use]
    pub fn visibility_lag(self) -> Duration {
        Duration::from_secs(if self == Self::Cached { 65 } else { 5 })
    }

    /// For how long fresh handles must show that the file is another one, or that its bytes are NULs, before that is
    /// believed.
    #[must_use]
    pub fn doubt_limit(self) -> Duration {
        self.visibility_lag() / 2
    }
}

/// Why a look at the file failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No file of that name.
    #[error("no such file")]
    Missing,
    /// There is something that must not be read, such as a symbolic link or a FIFO.
    #[error("{0}")]
    Hostile(String),
    /// The file system answered with an error; it may pass.
    #[error("{0}")]
    Io(rustix::io::Errno),
}

impl SourceError {
    /// Whether the volume may have done what was asked all the same: the answer was lost on its way.
    #[must_use]
    pub fn is_without_answer(&self) -> bool {
        use rustix::io::Errno;
        matches!(
            self,
            Self::Io(
                Errno::IO
                    | Errno::STALE
                    | Errno::TIMEDOUT
                    | Errno::NOTCONN
                    | Errno::CONNRESET
                    | Errno::REMOTEIO
            )
        )
    }

    /// Whether another process holds the file by a lease, for which an open that does not wait is refused. Whoever may
    /// write a file can hold it so for ever; a file server that does gives it back within moments.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self == Self::Io(rustix::io::Errno::AGAIN)
    }

    /// Whether the file system may answer otherwise in a moment: it is away, or busy. What it refuses (a right, space,
    /// a name) it refuses again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        use rustix::io::Errno;
        match self {
            Self::Missing | Self::Hostile(_) => false,
            Self::Io(errno) => !matches!(
                *errno,
                Errno::PERM
                    | Errno::ACCESS
                    | Errno::ROFS
                    | Errno::NOSPC
                    | Errno::DQUOT
                    | Errno::FBIG
                    | Errno::EXIST
                    | Errno::ISDIR
                    | Errno::NOTEMPTY
                    | Errno::MLINK
                    | Errno::NAMETOOLONG
                    | Errno::INVAL
                    | Errno::NOSYS
                    | Errno::OPNOTSUPP
            ),
        }
    }
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

/// Where the bytes of one log come from: [`FileSource`], and in tests a source that plays faults.
pub trait LogSource: Send {
    /// The state of the file that has the path's name now, whichever file is open.
    ///
    /// # Errors
    /// See [`SourceError`]; the caller decides which of them ends the tail.
    fn look(&mut self) -> Result<FileState, SourceError>;

    /// Opens the file that has the path's name now. An earlier handle is closed only when this succeeds, and kept for
    /// [`Self::read_replaced_at`] when it is of another file.
    ///
    /// # Errors
    /// As `look`.
    fn open(&mut self) -> Result<FileState, SourceError>;

    /// Reads the open file at `offset` into `buffer`. 0: no bytes are visible there now.
    ///
    /// # Errors
    /// As `look`; after one the handle is closed.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError>;

    /// Reads the file that was open before another one was opened in its place. How many bytes are there: 0 also when
    /// there is no such file or it cannot be read.
    fn read_replaced_at(&mut self, _offset: u64, _buffer: &mut [u8]) -> usize {
        0
    }

    /// Size of the open file, whichever name it has by now. `None`: there is none, or nobody can say.
    fn open_file_size(&self) -> Option<u64> {
        None
    }

    /// Drops the handles.
    fn close(&mut self);

    /// The kind of file system.
    fn freshness(&self) -> Freshness;

    /// The name of the mount, for messages too: files of one mount stall together.
    fn mount(&self) -> &str;
}
