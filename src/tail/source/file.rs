//! A log file on a disk, read with direct syscalls.

use rustix::fd::OwnedFd;

use super::place::must_be_regular;
use super::stat::{freshness_of, stat_at};
use super::{Freshness, LogSource, Place, Seen, SourceError};

/// One file by its place. Closed handles are the normal state before the file exists.
#[derive(Debug)]
pub struct FileSource {
    place: Place,
    mount: String,
    open: Option<Open>,
    freshness: Freshness,
    trust: Trust,
}

/// Which file may have a second hard link: another agent could make one, and must not end a run by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// None yet, and the first one must have a single link: nobody knows who made it.
    Nothing,
    /// The first one: the server made it.
    First,
    /// The one that was opened before. Whatever takes its place starts with a single link.
    Only((u64, u64)),
}

/// The folder is held beside the file: with it one syscall tells whether the path still names this file.
#[derive(Debug)]
struct Open {
    folder: OwnedFd,
    file: OwnedFd,
    identity: (u64, u64),
}

impl FileSource {
    /// `known`: the server created this file, so that a second hard link is a warning and not an error.
    #[must_use]
    pub fn new(place: Place, known: bool) -> Self {
        let mount = place.root().display().to_string();
        Self {
            place,
            mount,
            open: None,
            freshness: Freshness::Local,
            trust: if known { Trust::First } else { Trust::Nothing },
        }
    }

    fn trusts(&self, seen: &Seen) -> bool {
        seen.links <= 1 || self.trust == Trust::First || self.trust == Trust::Only(seen.identity)
    }
}

impl LogSource for FileSource {
    fn look(&mut self) -> Result<Seen, SourceError> {
        let held = self
            .open
            .as_ref()
            .map(|open| look_at(&open.folder, self.place.name()));
        let seen = match held {
            // Its folder may have been made anew.
            None | Some(Err(SourceError::Missing)) => look_at(&self.place.open_folder()?, self.place.name()),
            Some(seen) => seen,
        };
        if matches!(seen, Err(SourceError::Io(_))) {
            // A handle that the file server has lost (ESTALE) stays lost.
            self.open = None;
        }
        seen
    }

    fn open(&mut self) -> Result<Seen, SourceError> {
        let folder = self.place.open_folder()?;
        let (file, seen) = self.place.open_file(&folder)?;
        if !self.trusts(&seen) {
            return Err(SourceError::Hostile("it has a second hard link".to_owned()));
        }
        self.trust = Trust::Only(seen.identity);
        let device = |identity: (u64, u64)| identity.0;
        if self.open.as_ref().map(|open| device(open.identity)) != Some(device(seen.identity)) {
            self.freshness = freshness_of(&file);
        }
        let identity = seen.identity;
        self.open = Some(Open {
            folder,
            file,
            identity,
        });
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

    fn close(&mut self) {
        self.open = None;
    }

    fn freshness(&self) -> Freshness {
        self.freshness
    }

    fn mount(&self) -> &str {
        &self.mount
    }
}

fn look_at(folder: &OwnedFd, name: &str) -> Result<Seen, SourceError> {
    let (seen, kind) = stat_at(folder, name)?;
    must_be_regular(kind)?;
    Ok(seen)
}
