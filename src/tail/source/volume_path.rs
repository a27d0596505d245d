//! The path of a file below the data root (or of any file, for the exported tail), and the walk to it.

use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::stat::stat_handle;
use super::{FileState, Ownership, SourceError};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// NONBLOCK: opening a FIFO that nobody writes must not block a thread for ever.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The path of a file: a trusted folder, the folders below it that are walked without following links, and a name.
#[derive(Debug, Clone)]
pub struct VolumePath {
    root: PathBuf,
    folders: Vec<String>,
    name: String,
}

impl VolumePath {
    /// A file below `data_root`. `None` when `path` is not below it, or has a component such as `..`.
    #[must_use]
    pub fn below(data_root: &Path, path: &Path) -> Option<Self> {
        let mut parts = Vec::new();
        for component in path.strip_prefix(data_root).ok()?.components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str()?.to_owned()),
                _ => return None,
            }
        }
        let name = parts.pop()?;
        Some(Self {
            root: data_root.to_owned(),
            folders: parts,
            name,
        })
    }

    /// A file anywhere. Its folder is trusted; only its last component is checked.
    #[must_use]
    pub fn in_trusted_folder(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new("."));
        Some(Self {
            root: folder.to_owned(),
            folders: Vec::new(),
            name,
        })
    }

    /// The file's name in its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of this name in the same folder.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// Opens the folder. No component below the root may be a symbolic link.
    pub(super) fn open_folder(&self) -> Result<OwnedFd, SourceError> {
        let mut folder = fs::open(&self.root, FOLDER, Mode::empty())?;
        if let Some(folder) = self.open_at_once(&folder) {
            return Ok(folder);
        }
        for part in &self.folders {
            folder = fs::openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(folder)
    }

    /// The same walk in one call; `None` when it fails, whatever the reason. Then the walk by components finds out
    /// what is wrong, or succeeds where the system has no `openat2` or a sandbox refuses it.
    #[cfg(target_os = "linux")]
    fn open_at_once(&self, root: &OwnedFd) -> Option<OwnedFd> {
        use rustix::fs::ResolveFlags;
        if self.folders.len() < 2 {
            return None;
        }
        let way = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(root, self.folders.join("/"), FOLDER, Mode::empty(), way).ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn open_at_once(&self, _root: &OwnedFd) -> Option<OwnedFd> {
        None
    }

    /// Opens the folder and makes the folders that are missing; calls `made` with the handle of each new one. One that
    /// `made` fails for goes again: pods could neither use it nor make it.
    pub(super) fn make_folder(
        &self,
        mode: Mode,
        mut made: impl FnMut(&OwnedFd) -> Result<(), SourceError>,
    ) -> Result<OwnedFd, SourceError> {
        let mut folder = fs::open(&self.root, FOLDER, Mode::empty())?;
        for part in &self.folders {
            let above = folder;
            let new = match fs::mkdirat(&above, part, mode) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            folder = fs::openat(&above, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            if new && let Err(error) = made(&folder) {
                let _ = fs::unlinkat(&above, part, AtFlags::REMOVEDIR);
                return Err(error);
            }
        }
        Ok(folder)
    }

    /// Opens the file in its folder for reading if it is a regular file.
    pub(super) fn open_file(&self, folder: &OwnedFd) -> Result<(OwnedFd, FileState), SourceError> {
        // Its kind is looked at before it is opened, because opening a device can have effects.
        let stat = fs::statat(folder, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        must_be_regular(FileType::from_raw_mode(stat.st_mode))?;
        let file = match self.open_without_atime(folder) {
            Err(Errno::ACCESS) if is_closed_to_servers(&stat) => {
                return Err(SourceError::Hostile(
                    "its mode does not let servers read it: neither a server nor the pod's script made it"
                        .to_owned(),
                ));
            }
            opened => opened?,
        };
        // And again afterwards, because it may have been replaced in between.
        let (seen, kind) = stat_handle(&file)?;
        must_be_regular(kind)?;
        Ok((file, seen))
    }

    /// Where the file is ours, its access time stays: the volume would have to write it after every read of a log.
    fn open_without_atime(&self, folder: &OwnedFd) -> Result<OwnedFd, Errno> {
        let open = |flags| fs::openat(folder, self.name.as_str(), flags, Mode::empty());
        #[cfg(target_os = "linux")]
        match open(FILE | OFlags::NOATIME) {
            Err(Errno::PERM) => {}
            answer => return answer,
        }
        open(FILE)
    }

    /// The folders between the trusted one and the file, from the outermost on.
    pub(super) fn folders(&self) -> &[String] {
        &self.folders
    }

    /// The trusted folder from which the walk starts.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// Refuses to give away a folder that is not the one that was just made. Whoever owns the folder above may put another
/// in its place before it is opened, and a root server would give that one to the pods: the server's own secrets, moved
/// there.
///
/// One with something in it is the one that was made where another run, or another server, was as quick. A folder that
/// all may list and enter can be given either way: its new owner can open nothing that it could not open before, and
/// could put a folder of its own in its place already.
pub(super) fn must_be_new(folder: &OwnedFd) -> Result<(), SourceError> {
    let open_to_all = Mode::ROTH | Mode::XOTH;
    if Mode::from_raw_mode(fs::fstat(folder)?.st_mode).contains(open_to_all) {
        return Ok(());
    }
    let is_entry = |entry: &fs::DirEntry| entry.file_name() != c"." && entry.file_name() != c"..";
    let mut entries = Dir::read_from(folder)?;
    match entries.find(|entry| !entry.as_ref().is_ok_and(|entry| !is_entry(entry))) {
        None => Ok(()),
        Some(Err(errno)) => Err(errno.into()),
        Some(Ok(_)) => Err(SourceError::Hostile(
            "another folder took the place of the one that was just made".to_owned(),
        )),
    }
}

/// Whether the mode explains why this process may not open the file. Servers and the pod's script make files that all
/// servers can read, so this one is an agent's, and says nothing about a volume that answers badly.
fn is_closed_to_servers(stat: &Stat) -> bool {
    let us = Ownership::of_this_process();
    let groups = rustix::process::getgroups().unwrap_or_default();
    let in_group = us.gid == stat.st_gid || groups.iter().any(|group| group.as_raw() == stat.st_gid);
    is_closed_to(us.uid, in_group, stat.st_uid, Mode::from_raw_mode(stat.st_mode))
}

fn is_closed_to(uid: u32, in_group: bool, owner: u32, mode: Mode) -> bool {
    let needed = match (uid == owner, in_group) {
        // Root is refused only where it counts as nobody.
        _ if uid == 0 => Mode::ROTH,
        (true, _) => Mode::RUSR,
        (false, true) => Mode::RGRP,
        (false, false) => Mode::ROTH,
    };
    !mode.contains(needed)
}

/// Refuses a file that pods could not read themselves. In a folder of its own a pod may move such a file (the server's
/// master key, a database's password) to a name that the server reads for it, and what the server reads comes back to
/// the pod as a line of its log or as a part of its prompt.
pub(super) fn must_be_for_pods(file: &OwnedFd, pods: Ownership) -> Result<(), SourceError> {
    let stat = fs::fstat(file)?;
    match is_for_pods(stat.st_uid, stat.st_gid, Mode::from_raw_mode(stat.st_mode), pods) {
        true => Ok(()),
        false => Err(SourceError::Hostile(
            "pods may not read it: it is not a file of theirs".to_owned(),
        )),
    }
}

fn is_for_pods(uid: u32, gid: u32, mode: Mode, pods: Ownership) -> bool {
    let by_group = gid == pods.gid && mode.contains(Mode::RGRP);
    // Where pods count as root nothing is told by that: what they write can be read by all.
    let is_theirs = uid == pods.uid && uid != 0;
    is_theirs || by_group || mode.contains(Mode::ROTH)
}

/// Refuses a folder that pods could not enter themselves: what stands in it is not theirs, whatever its own mode is.
pub(super) fn must_be_open_to_pods(stat: &Stat, pods: Ownership) -> Result<(), SourceError> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    let by_group = stat.st_gid == pods.gid && mode.contains(Mode::XGRP);
    let is_theirs = stat.st_uid == pods.uid && stat.st_uid != 0;
    match is_theirs || by_group || mode.contains(Mode::XOTH) {
        true => Ok(()),
        false => Err(SourceError::Hostile(
            "pods may not enter its folder: it is not a file of theirs".to_owned(),
        )),
    }
}

pub(super) fn must_be_regular(kind: FileType) -> Result<(), SourceError> {
    let what = match kind {
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => "a symbolic link, which is not followed",
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "of an unknown kind",
    };
    Err(SourceError::Hostile(format!("it is {what}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_pods_could_not_read_is_not_read_for_them() {
        let is = |uid, gid, mode| is_for_pods(uid, gid, Mode::from_raw_mode(mode), Ownership::default());
        assert!(!is(0, 0, 0o100_600) && !is(0, 0, 0o100_640) && !is(0, 1000, 0o100_600));
        assert!(
            !is(999, 999, 0o100_600),
            "another service of the server's machine"
        );
        assert!(is(0, 0, 0o100_644) && is(0, 1000, 0o100_640) && is(1234, 1000, 0o100_660));
        assert!(is(1000, 0, 0o100_600) && is(1000, 1000, 0o100_200));
    }

    #[test]
    fn a_file_whose_mode_hides_it_from_servers_is_an_agents() {
        let is = |uid, in_group, owner, mode| is_closed_to(uid, in_group, owner, Mode::from_raw_mode(mode));
        assert!(is(1000, true, 1000, 0o100_000) && is(1000, true, 1000, 0o100_044));
        assert!(is(999, true, 1000, 0o100_604) && is(999, false, 1000, 0o100_660));
        assert!(is(0, false, 1000, 0o100_600), "root that counts as nobody");
        // What servers and the pod's script make: that it cannot be opened is the volume's doing.
        for (uid, in_group) in [(0, false), (1000, true), (999, true), (999, false)] {
            assert!(!is(uid, in_group, 1000, 0o100_664) && !is(uid, in_group, 1000, 0o100_644));
        }
    }

    /// The race cannot be lost on purpose: what it leaves is a folder with something in it under the new one's name.
    #[test]
    fn a_folder_that_took_the_place_of_the_new_one_is_not_given_to_pods() {
        let temp = tempfile::tempdir().expect("a folder");
        let open = |at: &Path| fs::open(at, FOLDER, Mode::empty()).expect("a handle");
        let path = VolumePath::below(temp.path(), &temp.path().join("a/b/file")).expect("a path");
        let mut given = 0;
        let mut give = |_: &OwnedFd| {
            given += 1;
            Ok(())
        };
        assert!(path.make_folder(0o755.into(), &mut give).is_ok());
        assert!(path.make_folder(0o755.into(), &mut give).is_ok());
        assert_eq!(given, 2, "each folder once");
        assert!(must_be_new(&open(&temp.path().join("a/b"))).is_ok());
        let full = open(&temp.path().join("a"));
        assert!(
            must_be_new(&full).is_ok(),
            "another run was as quick to make its own in it"
        );
        fs::fchmod(&full, Mode::from_raw_mode(0o700)).expect("a secret folder");
        let swapped = must_be_new(&full);
        assert!(matches!(swapped, Err(SourceError::Hostile(why)) if why.contains("just made")));
    }

    #[test]
    fn a_folder_that_cannot_be_given_to_pods_is_left_for_them_to_make() {
        let temp = tempfile::tempdir().expect("a folder");
        let path = VolumePath::below(temp.path(), &temp.path().join("a/b/file")).expect("a path");
        let mut seen = 0;
        let made = path.make_folder(0o755.into(), |_| {
            seen += 1;
            if seen == 2 {
                Err(Errno::PERM.into())
            } else {
                Ok(())
            }
        });
        assert!(matches!(made, Err(SourceError::Io(Errno::PERM))));
        let is_there = |name: &str| fs::stat(temp.path().join(name)).is_ok();
        assert!(is_there("a") && !is_there("a/b"));
    }

    #[test]
    fn only_plain_paths_below_the_root_are_taken() {
        let root = Path::new("/paperclip");
        assert!(VolumePath::below(root, Path::new("/paperclip/a/b.ndjson")).is_some());
        assert!(VolumePath::below(root, Path::new("/paperclip/../etc/passwd")).is_none());
        assert!(VolumePath::below(root, Path::new("/etc/passwd")).is_none());
        assert!(VolumePath::below(root, Path::new("/paperclip")).is_none());
    }
}
