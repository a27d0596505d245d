//! The files of one run: made before its Job exists, removed when the run is harvested.

use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::survey::names_with;
use super::volume_path::must_be_for_pods;
use super::{SourceError, VolumePath};

/// The pod's user and group on the shared volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// User id under which the pod's writes appear on this mount. Default 1000.
    pub uid: u32,
    /// Group id under which the pod's writes appear on this mount. Default 1000.
    pub gid: u32,
}

impl Ownership {
    /// The user and group of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }
}

impl Ownership {
    /// Whose files pods write, where nobody says: a server that is not root shares files with pods of its own user.
    #[must_use]
    pub fn of_pods() -> Self {
        match Self::of_this_process() {
            Self { uid: 0, .. } => Self::default(),
            own => own,
        }
    }
}

impl Default for Ownership {
    fn default() -> Self {
        Self { uid: 1000, gid: 1000 }
    }
}

/// Why the files of a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The folder or a file of the run cannot be made or opened.
    #[error(
        "cannot prepare {path}: {cause}. The shared volume must be mounted here, read-write, at the data root"
    )]
    Unusable {
        /// What was to be made.
        path: String,
        /// What the file system said.
        cause: SourceError,
    },
    /// The server's user cannot make a file that the pod's user could write.
    #[error(
        "Users do not fit: the server runs as uid {server} and the pod as uid {pod}. The server's user must be 0, {pod} or a member of \
         group {group}, so that both can write {path}"
    )]
    Owner {
        /// The server's effective user id.
        server: u32,
        /// The pod's user id.
        pod: u32,
        /// The group that would have to be the server's, too.
        group: u32,
        /// What was to be made.
        path: String,
    },
}

/// What [`RunFiles::prepare`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// The server made folder and files. False when root is squashed on the volume: then the pod's init container
    /// makes them.
    pub by_server: bool,
}

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

    /// Makes the folder and these files with their content. An existing file is an error.
    ///
    /// # Errors
    /// [`PrepareError`] says what to do; nothing that was made stays behind.
    pub fn prepare(&self, owner: Ownership, files: &[(&str, &[u8])]) -> Result<Preparation, PrepareError> {
        let hand_over = HandOver::to(owner);
        let mut made = Vec::new();
        let failed = self.make(hand_over, files, &mut made).err();
        if failed.is_some() {
            // Only what was made here: a file that was there before is somebody else's.
            self.remove(made);
        }
        match failed {
            None => Ok(Preparation { by_server: true }),
            // Root without power over the volume (root squash): the pod makes its files itself.
            Some(SourceError::Io(Errno::PERM | Errno::ACCESS | Errno::INVAL))
                if hand_over == HandOver::Root(owner) =>
            {
                Ok(Preparation { by_server: false })
            }
            Some(cause) => Err(ServerUser::current().refused(owner, hand_over, cause, self.shown.clone())),
        }
    }

    fn make<'a>(
        &self,
        hand_over: HandOver,
        files: &[(&'a str, &[u8])],
        made: &mut Vec<&'a str>,
    ) -> Result<(), SourceError> {
        let folder = self.log.make_folder(hand_over.folder_mode(), |made| {
            hand_over.apply(made, hand_over.folder_mode())
        })?;
        for (name, content) in files {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = fs::openat(&folder, *name, flags, hand_over.file_mode())?;
            made.push(*name);
            hand_over.apply(&file, hand_over.file_mode())?;
            write_all(&file, content)?;
        }
        Ok(())
    }

    /// Makes the folder of a file that the pod will make: the pod's user may not be allowed to make one in a folder of
    /// the server's. When this fails, the pod tries it, and says what it lacks.
    pub fn prepare_folder_of(data_root: &Path, file: &Path, owner: Ownership) {
        let hand_over = HandOver::to(owner);
        let mode = hand_over.folder_mode();
        if let Some(place) = VolumePath::below(data_root, file)
            && let Err(error) = place.make_folder(mode, |made| hand_over.apply(made, mode))
        {
            tracing::info!(%error, file = %file.display(), "cannot make the folder: the pod tries it");
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
    /// the time at which the file with the first end changed.
    #[must_use]
    pub fn runs_with(&self, ends: [&str; 2]) -> Vec<String> {
        let Ok(folder) = self.log.open_folder() else {
            return Vec::new();
        };
        let stat = |name: String| fs::statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok();
        // The second is a server's file; of the others there may be any number.
        let of_server = names_with(&folder, ends[1], MAX_RUNS);
        let dated = of_server.into_iter().filter_map(|run| {
            let started = stat(format!("{run}{}", ends[0]))?;
            Some((started.st_mtime, run))
        });
        let mut runs: Vec<(i64, String)> = dated.collect();
        runs.sort();
        runs.drain(..runs.len().saturating_sub(MAX_LATEST));
        runs.into_iter().map(|(_, run)| run).collect()
    }

    /// Removes files of the run. What is not there counts as removed; the first other error is returned.
    pub fn remove<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<SourceError> {
        let folder = match self.log.open_folder() {
            Ok(folder) => folder,
            Err(SourceError::Missing) => return None,
            Err(error) => return Some(error),
        };
        let mut first = None;
        for name in names {
            match fs::unlinkat(&folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => first = first.or(Some(errno.into())),
            }
        }
        first
    }
}

/// User and groups of this process.
struct ServerUser {
    uid: u32,
    groups: Vec<u32>,
}

impl ServerUser {
    fn current() -> Self {
        let others = rustix::process::getgroups().unwrap_or_default();
        let groups = others.into_iter().chain([rustix::process::getegid()]);
        Self {
            uid: rustix::process::geteuid().as_raw(),
            groups: groups.map(Gid::as_raw).collect(),
        }
    }

    /// The error of a call that the volume refused. For a user without the pod's group it names both users, whichever
    /// call was refused.
    fn refused(
        &self,
        owner: Ownership,
        hand_over: HandOver,
        cause: SourceError,
        path: String,
    ) -> PrepareError {
        let is_stranger = !self.groups.contains(&owner.gid);
        match (hand_over, &cause) {
            (HandOver::Group(_), SourceError::Io(errno))
                if *errno == Errno::PERM || (*errno == Errno::ACCESS && is_stranger) =>
            {
                PrepareError::Owner {
                    server: self.uid,
                    pod: owner.uid,
                    group: owner.gid,
                    path,
                }
            }
            _ => PrepareError::Unusable { path, cause },
        }
    }
}

/// How a file that the server made becomes one that the pod can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandOver {
    /// The server is the pod's user: nothing to do.
    Same,
    /// The server is root: it makes the pod's user the owner.
    Root(Ownership),
    /// The server is another user: it shares the file through the group.
    Group(Ownership),
}

impl HandOver {
    fn to(owner: Ownership) -> Self {
        match rustix::process::geteuid().as_raw() {
            uid if uid == owner.uid => Self::Same,
            0 => Self::Root(owner),
            _ => Self::Group(owner),
        }
    }

    fn folder_mode(self) -> Mode {
        match self {
            Self::Group(_) => Mode::from_raw_mode(0o2775),
            Self::Same | Self::Root(_) => Mode::from_raw_mode(0o755),
        }
    }

    fn file_mode(self) -> Mode {
        match self {
            Self::Group(_) => Mode::from_raw_mode(0o664),
            Self::Same | Self::Root(_) => Mode::from_raw_mode(0o644),
        }
    }

    fn apply(self, made: &OwnedFd, mode: Mode) -> Result<(), SourceError> {
        match self {
            Self::Same => {}
            Self::Root(owner) => {
                fs::fchown(
                    made,
                    Some(Uid::from_raw(owner.uid)),
                    Some(Gid::from_raw(owner.gid)),
                )?;
            }
            Self::Group(owner) => {
                fs::fchown(made, None, Some(Gid::from_raw(owner.gid)))?;
                // The umask has cleared the group's write bit, and chown the set-group-id bit.
                fs::fchmod(made, mode)?;
            }
        }
        Ok(())
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

    fn said(uid: u32, groups: &[u32], errno: Errno) -> String {
        let owner = Ownership::default();
        let hand_over = match uid {
            1000 => HandOver::Same,
            _ => HandOver::Group(owner),
        };
        let server = ServerUser {
            uid,
            groups: groups.to_vec(),
        };
        let error = server.refused(owner, hand_over, errno.into(), "/paperclip/log".to_owned());
        error.to_string()
    }

    #[test]
    fn the_error_for_a_user_without_the_pods_group_names_both_uids() {
        for errno in [Errno::ACCESS, Errno::PERM] {
            let said = said(4321, &[4321], errno);
            assert!(
                said.contains("uid 4321") && said.contains("uid 1000") && said.contains("group 1000"),
                "{said}"
            );
            assert!(said.contains("/paperclip/log"), "{said}");
        }
    }

    #[test]
    fn the_error_for_a_user_that_could_write_is_the_volumes_own() {
        for (uid, groups, errno) in [
            (1000, [1000], Errno::ACCESS),
            (1234, [1000], Errno::ACCESS),
            (4321, [4321], Errno::NOSPC),
            (4321, [4321], Errno::ROFS),
        ] {
            let said = said(uid, &groups, errno);
            assert!(said.starts_with("cannot prepare /paperclip/log"), "{said}");
        }
    }
}
