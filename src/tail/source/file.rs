//! A log file on a disk, read by system calls.

use rustix::fd::OwnedFd;

use super::stat::{freshness_of, stat_at};
use super::volume_path::{must_be_for_pods, must_be_regular};
use super::{FileState, Freshness, LogSource, Ownership, SourceError, VolumePath};

/// One file by its path. It has no handle until the file exists.
#[derive(Debug)]
pub struct FileSource {
    path: VolumePath,
    mount: String,
    open: Option<OpenFile>,
    /// The file that was open when the first other one was opened in its place.
    replaced: Option<OpenFile>,
    /// `None`: nothing on the volume was opened yet.
    freshness: Option<Freshness>,
    trust: Trust,
    pods: Ownership,
}

/// Which file may have a second hard link. An agent can make a link to the log of another one, and must not end that
/// one's run by it; nor may it make the log's name a link to a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// No file: nobody knows who made the first one, so it must have a single link.
    Nothing,
    /// The file that is opened first: the server made it.
    First,
    /// The file of this identity, which was opened before. A file that replaces it must have a single link.
    Only((u64, u64)),
}

/// The folder's handle is kept beside the file's: with it one system call tells whether the path still names this file.
#[derive(Debug)]
struct OpenFile {
    folder: OwnedFd,
    file: OwnedFd,
    identity: (u64, u64),
}

impl FileSource {
    /// `made_by_server`: then a second hard link of the file is a warning and not an error.
    #[must_use]
    pub fn new(path: VolumePath, made_by_server: bool) -> Self {
        let mount = path.root().display().to_string();
        Self {
            path,
            mount,
            open: None,
            replaced: None,
            freshness: None,
            trust: if made_by_server {
                Trust::First
            } else {
                Trust::Nothing
            },
            pods: Ownership::of_pods(),
        }
    }

    /// Whose file it must be, or readable for: the pods' user and group on this mount.
    #[must_use]
    pub fn of(mut self, pods: Ownership) -> Self {
        self.pods = pods;
        self
    }

    fn trusts(&self, seen: &FileState) -> bool {
        seen.links <= 1 || self.trust == Trust::First || self.trust == Trust::Only(seen.identity)
    }
}

impl LogSource for FileSource {
    fn look(&mut self) -> Result<FileState, SourceError> {
        let in_open_folder = self
            .open
            .as_ref()
            .map(|open| look_at(&open.folder, self.path.name()));
        let seen = match in_open_folder {
            // Its folder may have been made anew.
            None | Some(Err(SourceError::Missing)) => {
                let folder = self.path.open_folder()?;
                // The file may show late, and how late is the volume's kind.
                self.freshness.get_or_insert_with(|| freshness_of(&folder));
                look_at(&folder, self.path.name())
            }
            Some(seen) => seen,
        };
        if matches!(seen, Err(SourceError::Io(_))) {
            // A handle that the file server does not know any more (ESTALE) is of no use.
            self.open = None;
        }
        seen
    }

    fn open(&mut self) -> Result<FileState, SourceError> {
        let folder = self.path.open_folder()?;
        let (file, seen) = self.path.open_file(&folder)?;
        must_be_for_pods(&file, self.pods)?;
        if !self.trusts(&seen) {
            return Err(SourceError::Hostile("it has a second hard link".to_owned()));
        }
        self.trust = Trust::Only(seen.identity);
        let device = |identity: (u64, u64)| identity.0;
        if self.open.as_ref().map(|open| device(open.identity)) != Some(device(seen.identity)) {
            self.freshness = Some(freshness_of(&file));
        }
        let identity = seen.identity;
        let is_other = |known: &OpenFile| known.identity != identity;
        let before = self.open.replace(OpenFile {
            folder,
            file,
            identity,
        });
        self.replaced = self
            .replaced
            .take()
            .filter(is_other)
            .or_else(|| before.filter(is_other));
        Ok(seen)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let Some(open) = &self.open else {
            return Err(SourceError::Missing);
        };
        let result = rustix::io::retry_on_intr(|| rustix::io::pread(&open.file, &mut *buffer, offset));
        if result.is_err() {
            self.open = None;
        }
        Ok(result?)
    }

    fn read_replaced_at(&mut self, offset: u64, buffer: &mut [u8]) -> usize {
        let read = |known: &OpenFile| {
            rustix::io::retry_on_intr(|| rustix::io::pread(&known.file, &mut *buffer, offset)).ok()
        };
        self.replaced.as_ref().and_then(read).unwrap_or_default()
    }

    fn open_file_size(&self) -> Option<u64> {
        let found = rustix::fs::fstat(&self.open.as_ref()?.file).ok()?;
        u64::try_from(found.st_size).ok()
    }

    fn close(&mut self) {
        self.open = None;
        self.replaced = None;
    }

    fn freshness(&self) -> Freshness {
        // What nobody knows may be late.
        self.freshness.unwrap_or(Freshness::Cached)
    }

    fn mount(&self) -> &str {
        &self.mount
    }
}

fn look_at(folder: &OwnedFd, name: &str) -> Result<FileState, SourceError> {
    let (seen, kind) = stat_at(folder, name)?;
    must_be_regular(kind)?;
    Ok(seen)
}
