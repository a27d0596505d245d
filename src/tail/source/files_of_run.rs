//! The files of one run: made before its Job exists, removed when the run is harvested.

use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, OFlags};
use rustix::io::Errno;

use super::hand_over::{HandOver, Preparation, ServerUser, is_powerless};
use super::stat::freshness_of;
use super::survey::names_with;
use super::volume_path::must_be_for_pods;
use super::{Freshness, Ownership, PrepareError, SourceError, VolumePath, way};
use crate::tail::record::MAX_RECORD_BYTES;

/// Most runs that one look at a folder considers: agents may leave any number of files there.
const MAX_RUNS: usize = 4_096;
/// Of those the latest.
const MAX_LATEST: usize = 256;

/// The files of one run.
#[derive(Debug, Clone)]
pub struct RunFiles {
    log: VolumePath,
    shown: String,
    pods: Ownership,
}

/// A file that was made, or may have been.
struct Made<'a> {
    name: &'a str,
    /// The volume has said so.
    is_known: bool,
}

impl RunFiles {
    /// `log`: the log's path as the server sees it. `None` when it is not below `data_root`.
    #[must_use]
    pub fn new(data_root: &Path, log: &Path) -> Option<Self> {
        Some(Self {
            log: VolumePath::below(data_root, log)?,
            shown: log.display().to_string(),
            pods: Ownership::of_pods(),
        })
    }

    /// Whose files pods write on this mount.
    #[must_use]
    pub fn of(mut self, pods: Ownership) -> Self {
        self.pods = pods;
        self
    }

    /// The path of the file of this name in the run's folder.
    #[must_use]
    pub fn path_of(&self, name: &str) -> VolumePath {
        self.log.sibling(name)
    }

    /// Makes the way to the run's files such that server and pods can go it, whatever agents have put there: of its last
    /// `own` folders, which nobody else has a use for.
    ///
    /// # Errors
    /// What the volume answers.
    pub fn clear_way(&self, own: usize) -> Result<(), SourceError> {
        way::clear(&self.log, own, self.pods)
    }

    /// Makes the folder and these files with their content. An existing file is an error.
    ///
    /// # Errors
    /// [`PrepareError`] says what to do; nothing that was made stays behind.
    pub fn prepare(&self, owner: Ownership, files: &[(&str, &[u8])]) -> Result<Preparation, PrepareError> {
        let hand_over = HandOver::to(owner);
        let mut made = Vec::new();
        let failed = self.make(hand_over, files, &mut made).err();
        // Only what was made here: a file that was there before is somebody else's, and so is one that has a word in it
        // where nobody knows whether it was made.
        let is_ours = |made: &Made<'_>| made.is_known || self.is_empty(made.name);
        let is_left = |made: &Made<'_>| is_ours(made) && self.remove([made.name]).is_some();
        let left = made.iter().filter(|made| failed.is_some() && is_left(made));
        let left = left.map(|made| made.name.to_owned()).collect();
        match failed {
            None => Ok(Preparation { by_server: true }),
            // Root without power over the volume (root squash): the pod makes its files itself.
            Some(SourceError::Io(errno)) if hand_over == HandOver::Root(owner) && is_powerless(errno) => {
                Ok(Preparation { by_server: false })
            }
            Some(cause) => {
                Err(ServerUser::current().refused(owner, hand_over, cause, self.shown.clone(), left))
            }
        }
    }

    /// As [`Self::prepare`], for files that a server has to make itself.
    ///
    /// # Errors
    /// What the volume answers, also to a user that has no power over it.
    pub fn prepare_by_server(
        &self,
        owner: Ownership,
        files: &[(&str, &[u8])],
    ) -> Result<Preparation, PrepareError> {
        let prepared = self.prepare(owner, files)?;
        prepared.must_be_by_server(&self.shown)
    }

    fn make<'a>(
        &self,
        hand_over: HandOver,
        files: &[(&'a str, &[u8])],
        made: &mut Vec<Made<'a>>,
    ) -> Result<(), SourceError> {
        let give = |made: &OwnedFd| hand_over.give_new_folder(made);
        let folder = self.log.make_folder(hand_over.folder_mode(), give)?;
        for (name, content) in files {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = fs::openat(&folder, *name, flags, hand_over.file_mode()).map_err(SourceError::from);
            // It may have been made all the same where the volume did not get its answer through.
            if file
                .as_ref()
                .map_or_else(SourceError::is_without_answer, |_| true)
            {
                let is_known = file.is_ok();
                made.push(Made { name, is_known });
            }
            let file = file?;
            hand_over.apply(&file, hand_over.file_mode())?;
            write_all(&file, content)?;
            wait_for_volume(&file, content)?;
        }
        Ok(())
    }

    fn is_empty(&self, name: &str) -> bool {
        matches!(self.read_small(name, MAX_RECORD_BYTES), Ok(Some(found)) if found.is_empty())
    }

    /// Puts another file in the place of a small one that is still as it was read; false when it is not, or none can be
    /// made. At no moment is there none: whenever a volume that hangs does it, one of the two stands. What is no file
    /// that may be read counts as an empty one, and has to go before.
    ///
    /// # Errors
    /// What the volume answers.
    pub fn replace(
        &self,
        owner: Ownership,
        [name, draft]: [&str; 2],
        [was, content]: [&[u8]; 2],
    ) -> Result<bool, SourceError> {
        match self.read_small(name, MAX_RECORD_BYTES) {
            Ok(Some(found)) if found == was => {}
            Err(SourceError::Hostile(_)) if was.is_empty() => {}
            Err(error @ SourceError::Io(_)) => return Err(error),
            _ => return Ok(false),
        }
        self.remove([draft]);
        match self.prepare(owner, &[(draft, content)]) {
            Ok(made) if made.by_server => {}
            Err(error) if error.may_pass() => return error.of_volume().map_or(Ok(false), Err),
            _ => return Ok(false),
        }
        let folder = self.log.open_folder()?;
        let mut renamed = fs::renameat(&folder, draft, &folder, name);
        if let Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) = renamed {
            self.remove([name]);
            renamed = fs::renameat(&folder, draft, &folder, name);
        }
        if let Err(errno) = renamed {
            self.remove([draft]);
            return Err(errno.into());
        }
        Ok(true)
    }

    /// Makes the folder of a file that the pod will make: the pod's user may not be allowed to make one in a folder of
    /// the server's. When this is refused, the pod tries it, and says what it lacks.
    ///
    /// # Errors
    /// What may pass.
    pub fn prepare_folder_of(data_root: &Path, file: &Path, owner: Ownership) -> Result<(), PrepareError> {
        make_folder_of(data_root, file, owner).or_else(|error| left_to_the_pod(file, error))
    }

    /// Makes a folder that a pod is to see instead of all of the volume. Of one that is refused the kubelet says what
    /// it lacks.
    ///
    /// # Errors
    /// The way to it has a link, which the kubelet would follow: the pod would see another folder of the volume. Or the
    /// volume does not say whether it has.
    pub fn prepare_shown_folder(
        data_root: &Path,
        folder: &Path,
        owner: Ownership,
    ) -> Result<(), PrepareError> {
        match make_folder_of(data_root, &folder.join("x"), owner) {
            Err(cause @ SourceError::Hostile(_)) => Err(PrepareError::LeadsElsewhere {
                path: folder.display().to_string(),
                cause,
            }),
            made => made.or_else(|error| left_to_the_pod(folder, error)),
        }
    }

    /// The content of a small file of the run; `None` when it is absent.
    ///
    /// # Errors
    /// What the volume answers, which says nothing about whether the file is there; or that the file is too large, or
    /// nothing that may be read.
    pub fn read_small(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let place = self.log.sibling(name);
        let open = || -> Result<OwnedFd, SourceError> {
            let file = place.open_file(&place.open_folder()?)?.0;
            must_be_for_pods(&file, self.pods)?;
            Ok(file)
        };
        let file = match open() {
            Ok(file) => file,
            Err(SourceError::Missing) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut buffer = vec![0; limit + 1];
        let mut length = 0;
        while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut *rest))? {
                0 => break,
                n => length += n,
            }
        }
        buffer.truncate(length);
        if length > limit {
            return Err(SourceError::Hostile(format!(
                "{name} is larger than {limit} bytes"
            )));
        }
        Ok(Some(buffer))
    }

    /// Ids of the runs in this folder that have a file with each of these two ends (such as `.pod.started`), sorted by
    /// the time at which the file with the first end changed. Agents may leave any number of names there, and a network
    /// volume may list some thousands a second: what is known when `is_late` says so has to do.
    ///
    /// # Errors
    /// What the volume answers, which says nothing about whether there are any.
    pub fn runs_with(&self, ends: [&str; 2], is_late: impl Fn() -> bool) -> Result<Vec<String>, SourceError> {
        let folder = match self.log.open_folder() {
            Ok(folder) => folder,
            Err(SourceError::Missing) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut runs: Vec<(i64, String)> = Vec::new();
        // The second is a server's file; of the others there may be any number.
        for run in names_with(&folder, ends[1], MAX_RUNS, &is_late)? {
            if is_late() {
                break;
            }
            let first = format!("{run}{}", ends[0]);
            match fs::statat(&folder, first.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => runs.push((found.st_mtime, run)),
                Err(errno) if SourceError::from(errno).may_pass() => return Err(errno.into()),
                // It is not there, or nobody could have made it.
                Err(_) => {}
            }
        }
        runs.sort();
        runs.drain(..runs.len().saturating_sub(MAX_LATEST));
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// Whether anything at all has one of these names.
    ///
    /// # Errors
    /// What the volume answers, which says nothing about whether there is any.
    pub fn any_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<bool, SourceError> {
        let folder = match self.log.open_folder() {
            Ok(folder) => folder,
            Err(SourceError::Missing) => return Ok(false),
            Err(error) => return Err(error),
        };
        for name in names {
            match fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Removes files of the run. What is not there counts as removed; the first other error is returned. Whatever an
    /// agent has put under one of the names goes, too: of a link the link, and a folder that is not empty gets another
    /// name, because nobody knows how much is in it.
    pub fn remove<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<SourceError> {
        let folder = match self.log.open_folder() {
            Ok(folder) => folder,
            Err(SourceError::Missing) => return None,
            Err(error) => return Some(error),
        };
        let mut first = None;
        for name in names {
            let removed = match fs::unlinkat(&folder, name, AtFlags::empty()) {
                Err(errno @ (Errno::ISDIR | Errno::PERM)) => remove_folder(&folder, name).or(Err(errno)),
                removed => removed,
            };
            match removed {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => first = first.or(Some(errno.into())),
            }
        }
        first
    }
}

fn make_folder_of(data_root: &Path, file: &Path, owner: Ownership) -> Result<(), SourceError> {
    let hand_over = HandOver::to(owner);
    let give = |made: &OwnedFd| hand_over.give_new_folder(made);
    match VolumePath::below(data_root, file) {
        Some(place) => place.make_folder(hand_over.folder_mode(), give).map(drop),
        None => Ok(()),
    }
}

/// Removes a folder, or renames it out of the way. Its content is not looked at.
fn remove_folder(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    match fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        removed => return removed,
    }
    way::rename_aside(folder, name).map(drop)
}

/// A folder that was not made: the pod or its node may have the right to make it. What may pass is no such answer.
fn left_to_the_pod(at: &Path, cause: SourceError) -> Result<(), PrepareError> {
    let path = at.display().to_string();
    if cause.may_pass() {
        let left = Vec::new();
        return Err(PrepareError::Unusable { path, cause, left });
    }
    tracing::info!(error = %cause, path, "cannot make the folder: the pod or its node tries it");
    Ok(())
}

/// A network volume takes what is written, and tells only whoever waits for it that it is full, over its quota, or
/// away.
fn wait_for_volume(file: &OwnedFd, content: &[u8]) -> Result<(), SourceError> {
    if content.is_empty() || freshness_of(file) == Freshness::Local {
        return Ok(());
    }
    match fs::fsync(file) {
        // Not every volume can be waited for.
        Ok(()) | Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn write_all(file: impl AsFd, mut content: &[u8]) -> Result<(), SourceError> {
    while !content.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, content))?;
        content = content.get(written..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_left_to_the_pod_when_it_is_refused_and_not_when_the_volume_fails() {
        let left = |error: SourceError| left_to_the_pod(Path::new("/paperclip/home"), error).is_ok();
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS, Errno::NOSPC] {
            assert!(left(errno.into()), "{errno}");
        }
        assert!(left(SourceError::Hostile("it is a symbolic link".to_owned())));
        for errno in [Errno::IO, Errno::STALE, Errno::NOTCONN] {
            assert!(!left(errno.into()), "{errno}");
        }
    }
}
