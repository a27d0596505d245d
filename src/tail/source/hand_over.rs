//! Who the server and the pods are on the shared volume, and how a file that the server made becomes one that the pod
//! can write.

use rustix::fd::OwnedFd;
use rustix::fs::{self, Gid, Mode, Uid};
use rustix::io::Errno;

use super::SourceError;
use super::volume_path::must_be_new;

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
    #[error("Shared volume: {cause}. Cannot make {path}: {}", to_do_about(cause))]
    Unusable {
        /// What was to be made.
        path: String,
        /// What the file system said.
        cause: SourceError,
        /// Names of files that may have been made and could not be removed again.
        left: Vec<String>,
    },
    /// A folder that a pod is to see instead of all of the volume is not where its path says.
    #[error(
        "Folder leads elsewhere: {path}: {cause}. A pod with volumeAccess own would see what it leads to. Put a folder \
         in the place of the link"
    )]
    LeadsElsewhere {
        /// The folder.
        path: String,
        /// What the walk to it met.
        cause: SourceError,
    },
    /// The server's user cannot make a file that the pod's user could write.
    #[error(
        "Users do not fit: the server runs as uid {server} and the pod as uid {pod}. The server's user must be 0, \
         {pod} or a member of group {group}, so that both can write {path}"
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

fn to_do_about(cause: &SourceError) -> &'static str {
    match cause {
        SourceError::Io(Errno::NOSPC | Errno::DQUOT) => "free space on the volume, or raise its quota",
        _ => "the volume must be mounted here, read-write, at the data root",
    }
}

impl PrepareError {
    /// Whether the volume may answer otherwise in a moment.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unusable { cause, .. } if cause.may_pass())
    }

    /// Names of files that may have been made and could not be removed again: they go before the next try.
    #[must_use]
    pub fn left(&self) -> &[String] {
        match self {
            Self::Unusable { left, .. } => left,
            Self::LeadsElsewhere { .. } | Self::Owner { .. } => &[],
        }
    }

    /// What the volume said, when the failure is the volume's.
    #[must_use]
    pub fn of_volume(self) -> Option<SourceError> {
        match self {
            Self::Unusable { cause, .. } => Some(cause),
            Self::LeadsElsewhere { .. } | Self::Owner { .. } => None,
        }
    }
}

/// What [`RunFiles::prepare`](super::RunFiles::prepare) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// The server made folder and files. False when root is squashed on the volume: then the pod's init container
    /// makes them.
    pub by_server: bool,
}

impl Preparation {
    /// Itself, where a server has to make the files.
    ///
    /// # Errors
    /// That the volume has refused it to the server's user.
    pub(super) fn must_be_by_server(self, path: &str) -> Result<Self, PrepareError> {
        if self.by_server {
            return Ok(self);
        }
        Err(PrepareError::Unusable {
            path: path.to_owned(),
            cause: SourceError::Io(Errno::ACCESS),
            left: Vec::new(),
        })
    }
}

/// User and groups of this process.
pub(super) struct ServerUser {
    uid: u32,
    groups: Vec<u32>,
}

impl ServerUser {
    pub(super) fn current() -> Self {
        let others = rustix::process::getgroups().unwrap_or_default();
        let groups = others.into_iter().chain([rustix::process::getegid()]);
        Self {
            uid: rustix::process::geteuid().as_raw(),
            groups: groups.map(Gid::as_raw).collect(),
        }
    }

    /// The error of a call that the volume refused. For a user without the pod's group it names both users, whichever
    /// call was refused.
    pub(super) fn refused(
        &self,
        owner: Ownership,
        hand_over: HandOver,
        cause: SourceError,
        path: String,
        left: Vec<String>,
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
            _ => PrepareError::Unusable { path, cause, left },
        }
    }
}

/// How a file that the server made becomes one that the pod can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandOver {
    /// The server is the pod's user: nothing to do.
    Same,
    /// The server is root: it makes the pod's user the owner.
    Root(Ownership),
    /// The server is another user: it shares the file through the group.
    Group(Ownership),
}

impl HandOver {
    pub(super) fn to(owner: Ownership) -> Self {
        match rustix::process::geteuid().as_raw() {
            uid if uid == owner.uid => Self::Same,
            0 => Self::Root(owner),
            _ => Self::Group(owner),
        }
    }

    pub(super) fn folder_mode(self) -> Mode {
        match self {
            Self::Group(_) => Mode::from_raw_mode(0o2775),
            Self::Same | Self::Root(_) => Mode::from_raw_mode(0o755),
        }
    }

    pub(super) fn file_mode(self) -> Mode {
        match self {
            Self::Group(_) => Mode::from_raw_mode(0o664),
            Self::Same | Self::Root(_) => Mode::from_raw_mode(0o644),
        }
    }

    /// Gives a folder that was just made to the pod's user.
    pub(super) fn give_new_folder(self, made: &OwnedFd) -> Result<(), SourceError> {
        if self == Self::Same {
            return Ok(());
        }
        must_be_new(made)?;
        self.apply(made, self.folder_mode())
    }

    pub(super) fn apply(self, made: &OwnedFd, mode: Mode) -> Result<(), SourceError> {
        match self {
            Self::Same => {}
            Self::Root(owner) => {
                let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
                open_to(owner, made, mode, fs::fchown(made, Some(uid), Some(gid)))?;
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

/// Whether the answer means that this process has no such power over the volume, whatever its user: root squash, a
/// container without the capability, a volume that keeps no owners.
pub(super) fn is_powerless(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP
    )
}

/// After root was to give the file or folder to the pod's user. Where that was refused, it stays with the user as whom
/// root counts, and everybody on the volume may write it: else the pod would find a folder in which it makes nothing.
fn open_to(
    owner: Ownership,
    made: &OwnedFd,
    mode: Mode,
    given: Result<(), Errno>,
) -> Result<(), SourceError> {
    let Err(refused) = given else { return Ok(()) };
    if is_powerless(refused) && !may_write(owner, made)? {
        // Whether the volume has done so is asked of it.
        let _ = fs::fchmod(made, mode | Mode::WGRP | Mode::WOTH);
    }
    match is_powerless(refused) && may_write(owner, made)? {
        true => Ok(()),
        false => Err(refused.into()),
    }
}

fn may_write(owner: Ownership, made: &OwnedFd) -> Result<bool, SourceError> {
    let stat = fs::fstat(made)?;
    let needed = match (stat.st_uid == owner.uid, stat.st_gid == owner.gid) {
        (true, _) => Mode::WUSR,
        (false, true) => Mode::WGRP,
        (false, false) => Mode::WOTH,
    };
    Ok(Mode::from_raw_mode(stat.st_mode).contains(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this process, its mode after it was to be given to that user, and whether the pod can write it.
    fn given(uid: u32, answer: Result<(), Errno>) -> (u32, Result<(), SourceError>) {
        let temp = tempfile::tempdir().expect("a folder");
        let flags = fs::OFlags::WRONLY | fs::OFlags::CREATE;
        let file = fs::open(temp.path().join("log"), flags, Mode::from_raw_mode(0o644)).expect("made");
        fs::fchmod(&file, Mode::from_raw_mode(0o644)).expect("whatever the umask");
        let owner = Ownership { uid, gid: 4_321 };
        let opened = open_to(owner, &file, Mode::from_raw_mode(0o644), answer);
        let mode = fs::fstat(&file).expect("a file").st_mode & 0o777;
        (mode, opened)
    }

    #[test]
    fn what_only_a_server_may_make_was_not_made_where_it_was_refused() {
        let made = |by_server| Preparation { by_server }.must_be_by_server("/paperclip/nonce");
        assert!(made(true).is_ok());
        let refused = made(false).expect_err("refused").to_string();
        assert!(
            refused.contains("Permission denied") && refused.contains("/paperclip/nonce"),
            "{refused}"
        );
    }

    #[test]
    fn what_root_cannot_give_away_is_open_to_the_pod_all_the_same() {
        let own = Ownership::of_this_process().uid;
        for errno in [
            Errno::PERM,
            Errno::ACCESS,
            Errno::INVAL,
            Errno::NOSYS,
            Errno::OPNOTSUPP,
        ] {
            assert_eq!(given(own + 1, Err(errno)), (0o666, Ok(())), "{errno}");
            assert_eq!(
                given(own, Err(errno)),
                (0o644, Ok(())),
                "all files are of that user"
            );
        }
        assert_eq!(given(own + 1, Ok(())), (0o644, Ok(())));
        assert_eq!(given(own + 1, Err(Errno::IO)), (0o644, Err(Errno::IO.into())));
    }

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
        let path = "/paperclip/log".to_owned();
        let error = server.refused(owner, hand_over, errno.into(), path, Vec::new());
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
            assert!(
                said.starts_with(&format!("Shared volume: {}", std::io::Error::from(errno))),
                "{said}"
            );
            assert!(said.contains("/paperclip/log"), "{said}");
            assert_eq!(said.contains("free space"), errno == Errno::NOSPC, "{said}");
        }
    }
}
