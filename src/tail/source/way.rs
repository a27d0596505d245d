//! The way to a run's files. Agents can put a link, a file or a folder that is closed to all into it, and the run must
//! not fail by that.

use std::path::PathBuf;

use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use super::survey::random;
use super::text_file::WALK;
use super::volume_path::must_be_open_to_pods;
use super::{Ownership, SourceError, VolumePath};

/// Makes the last `own` folders of the path such that server and pods can use them: what is no folder gets another
/// name, and so does one of the pods' or of this server that is closed and cannot be opened. What is not there stays
/// so, and folders of others stay as they are.
///
/// # Errors
/// What the volume answers.
pub(super) fn clear(path: &VolumePath, own: usize, pods: Ownership) -> Result<(), SourceError> {
    let mut above = fs::open(path.root(), WALK, Mode::empty())?;
    let first_own = path.folders().len().saturating_sub(own);
    for (at, name) in path.folders().iter().enumerate() {
        let folder = match fs::openat(&above, name, WALK | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR | Errno::LOOP) if at >= first_own => return put_aside(&above, name),
            opened => opened?,
        };
        if at >= first_own && !is_open_now(&folder, pods)? {
            return put_aside(&above, name);
        }
        above = folder;
    }
    Ok(())
}

fn put_aside(above: &OwnedFd, name: &str) -> Result<(), SourceError> {
    let aside = rename_aside(above, name)?;
    tracing::warn!(
        name,
        aside,
        "renamed what stood in the place of a folder for logs"
    );
    Ok(())
}

/// Gives what stands in the way a name that nobody looks for, and returns it. Its content is not looked at.
pub(super) fn rename_aside(above: &OwnedFd, name: &str) -> Result<String, Errno> {
    let aside = format!(".laid-{:016x}", random());
    fs::renameat(above, name, above, &aside)?;
    Ok(aside)
}

/// Whether server and pods can use the folder, as far as its mode and its default ACL say. What they deny is changed
/// where this server may do so.
fn is_open_now(folder: &OwnedFd, pods: Ownership) -> Result<bool, SourceError> {
    let us = Ownership::of_this_process();
    let stat = fs::fstat(folder)?;
    if stat.st_uid != us.uid && stat.st_uid != pods.uid {
        return Ok(true);
    }
    let by_group = us.uid != 0 && us.uid != stat.st_uid;
    let needed = Mode::RWXU
        | if by_group {
            Mode::RGRP | Mode::XGRP
        } else {
            Mode::empty()
        };
    let mode = Mode::from_raw_mode(stat.st_mode);
    // By its handle: a path could have become a link to something else.
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let is_open =
        mode.contains(needed) || fs::chmod(&path, (mode | needed) & Mode::from_raw_mode(0o7777)).is_ok();
    // One of the server's own that pods may not enter (its secrets, renamed) is not opened to them, and of no use here.
    Ok(is_open && new_ones_are_open(&path, by_group) && must_be_open_to_pods(&stat, pods).is_ok())
}

/// Whether what is made in the folder can be used by its owner, and by its group. A default ACL can deny that.
#[cfg(target_os = "linux")]
fn new_ones_are_open(folder: &std::path::Path, by_group: bool) -> bool {
    const NAME: &str = "system.posix_acl_default";
    let mut acl = [0; 1_024];
    let length = match fs::getxattr(folder, NAME, &mut acl) {
        Ok(length) => length,
        // More than anybody needs.
        Err(Errno::RANGE) => return fs::removexattr(folder, NAME).is_ok(),
        Err(_) => return true,
    };
    let acl = acl.get(..length).unwrap_or_default();
    !denies_owner_or_group(acl, by_group) || fs::removexattr(folder, NAME).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn new_ones_are_open(_folder: &std::path::Path, _by_group: bool) -> bool {
    true
}

/// By `<linux/posix_acl_xattr.h>`: a version, and entries of a tag, a permission and an id.
#[cfg(target_os = "linux")]
fn denies_owner_or_group(acl: &[u8], by_group: bool) -> bool {
    const OWNER: u16 = 1;
    const OF_GROUP: [u16; 2] = [4, 0x10];
    let word = |at: &[u8]| u16::from_le_bytes(at.try_into().unwrap_or_default());
    let (_, entries) = acl.split_at(acl.len().min(4));
    entries.chunks_exact(8).any(|entry| {
        let tag = entry.get(..2).map(word).unwrap_or_default();
        let allowed = entry.get(2..4).map(word).unwrap_or_default();
        allowed & 7 != 7 && (tag == OWNER || by_group && OF_GROUP.contains(&tag))
    })
}
