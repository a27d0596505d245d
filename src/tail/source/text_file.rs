//! Small text files that a person or the host names by their path, for an agent's prompt. The path is trusted; what
//! stands at it is not, because below the data root agents put there what they like.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::stat::stat_handle;
use super::volume_path::{must_be_for_pods, must_be_open_to_pods, must_be_regular};
use super::{Ownership, SourceError};

/// A folder on the way to a file.
#[cfg(target_os = "linux")]
pub(super) const WALK: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
pub(super) const WALK: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// NONBLOCK: opening a FIFO that nobody writes must not block a thread for ever.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// As many as the kernel follows.
const MOST_LINKS: usize = 40;
/// Most names of a folder that are read, of whatever kind.
const MAX_ENTRIES: usize = 100_000;
/// What the kernel shows there is the server's own state, not a file.
const KERNEL_FOLDERS: [&str; 3] = ["proc", "sys", "dev"];

/// Reads a file of at most `limit` bytes; what is no UTF-8 is replaced.
///
/// Below a data root no component may be a link, and the file has one name only and is one that `pods` can read.
/// Elsewhere the folders are trusted, and the file itself is no link. Nothing of the kernel's own file systems is read.
/// There may be several roots: what an agent says of its own takes nothing away from what the server knows.
///
/// # Errors
/// When the file is missing, is not to be read, or is larger.
pub fn read_text(
    data_roots: &[PathBuf],
    path: &Path,
    limit: usize,
    pods: Ownership,
) -> Result<String, SourceError> {
    Walked::to(data_roots, path)?.read(limit, pods)
}

/// As [`read_text`]; where a folder stands at `path`, the file of this name in it.
///
/// # Errors
/// As [`read_text`].
pub fn read_text_of(
    data_roots: &[PathBuf],
    path: &Path,
    name: &str,
    limit: usize,
    pods: Ownership,
) -> Result<String, SourceError> {
    let walked = Walked::to(data_roots, path)?;
    match walked.kind()? {
        FileType::Directory => {}
        FileType::Symlink if !walked.in_volume => {}
        _ => return walked.read(limit, pods),
    }
    read_text(data_roots, &path.join(name), limit, pods)
}

/// The names in the folder at `path`: those of folders, and all others. At most `limit`, in order.
///
/// # Errors
/// When it is no folder or cannot be read; below a data root also when any component is a link.
pub fn names_in(
    data_roots: &[PathBuf],
    path: &Path,
    limit: usize,
) -> Result<(Vec<String>, Vec<String>), SourceError> {
    // The folder of a file in it is the folder itself.
    let folder = Walked::to(data_roots, &path.join("-"))?.folder;
    let entries = Dir::read_from(&folder_to_list(&folder)?)?;
    let mut names: Vec<(String, bool)> = entries
        .take(MAX_ENTRIES)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str().ok()?.to_owned()))
        .filter(|name| name != "." && name != "..")
        .take(limit)
        .map(|name| {
            let stat = fs::statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
            let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
            (name, kind == Ok(FileType::Directory))
        })
        .collect();
    names.sort();
    let (folders, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|(_, is_folder)| *is_folder);
    let names = |list: Vec<(String, bool)>| list.into_iter().map(|(name, _)| name).collect();
    Ok((names(folders), names(others)))
}

fn folder_to_list(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::openat(folder, c".", flags, Mode::empty())
}

/// A file's folder, reached component by component, and its name, which nobody has looked at.
struct Walked {
    folder: OwnedFd,
    name: OsString,
    in_volume: bool,
    /// It stands in the data root itself, whose owner is whoever made the volume.
    in_root: bool,
}

impl Walked {
    fn to(data_roots: &[PathBuf], path: &Path) -> Result<Self, SourceError> {
        let path = without_dots(path)?;
        // Of two of which one is in the other the outer one: from it on no link is followed.
        let around = data_roots.iter().filter(|root| path.starts_with(root));
        let outermost = around.min_by_key(|root| root.components().count());
        if let Some((root, rest)) = outermost.and_then(|root| Some((root, path.strip_prefix(root).ok()?))) {
            let walk = Walk {
                folder: fs::open(root, WALK, Mode::empty())?,
                in_volume: true,
                in_root: true,
                roots: Vec::new(),
                top: None,
            };
            return walk.along(rest);
        }
        let mut roots = Vec::new();
        for root in data_roots {
            match fs::open(root, WALK, Mode::empty()) {
                Ok(root) => roots.push(stat_handle(&root)?.0.identity),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let top = fs::open("/", WALK, Mode::empty())?;
        let walk = Walk {
            in_volume: false,
            in_root: false,
            roots,
            top: Some(stat_handle(&top)?.0.identity),
            folder: top,
        };
        walk.along(&path)
    }

    fn kind(&self) -> Result<FileType, Errno> {
        let stat = fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    fn read(&self, limit: usize, pods: Ownership) -> Result<String, SourceError> {
        // Looked at first, because opening a device can have effects of its own.
        must_be_regular(self.kind()?)?;
        let file = fs::openat(&self.folder, &self.name, FILE, Mode::empty())?;
        // Looked at again, because it may have been swapped in between.
        let (seen, kind) = stat_handle(&file)?;
        must_be_regular(kind)?;
        must_not_be_of_the_kernel(&file)?;
        if self.in_volume && seen.links > 1 {
            return Err(hostile("it has a second hard link"));
        }
        if self.in_volume {
            if !self.in_root {
                must_be_open_to_pods(&fs::fstat(&self.folder)?, pods)?;
            }
            must_be_for_pods(&file, pods)?;
        }
        read_all(&file, limit)
    }
}

/// A walk on its way.
struct Walk {
    folder: OwnedFd,
    /// From the data root on nothing is followed.
    in_volume: bool,
    in_root: bool,
    /// The data roots, by whichever path one is reached.
    roots: Vec<(u64, u64)>,
    /// The root of all paths.
    top: Option<(u64, u64)>,
}

impl Walk {
    fn along(mut self, path: &Path) -> Result<Walked, SourceError> {
        let mut left: VecDeque<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            self.must_not_enter_the_kernel(&part)?;
            if left.is_empty() {
                return Ok(Walked {
                    folder: self.folder,
                    name: part,
                    in_volume: self.in_volume,
                    in_root: self.in_root,
                });
            }
            match fs::openat(&self.folder, &part, WALK | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(folder) => self.enter(folder)?,
                Err(Errno::NOTDIR | Errno::LOOP) if !self.in_volume && links < MOST_LINKS => {
                    links += 1;
                    for part in self.follow(&part)?.into_iter().rev() {
                        left.push_front(part);
                    }
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(hostile("it is a folder, not a regular file"))
    }

    fn enter(&mut self, folder: OwnedFd) -> Result<(), SourceError> {
        self.in_root = false;
        if !self.in_volume {
            self.in_volume = self.roots.contains(&stat_handle(&folder)?.0.identity);
            self.in_root = self.in_volume;
        }
        self.folder = folder;
        Ok(())
    }

    /// Where a link leads to.
    fn follow(&mut self, link: &OsStr) -> Result<VecDeque<OsString>, SourceError> {
        let target = match fs::readlinkat(&self.folder, link, Vec::new()) {
            Ok(target) => PathBuf::from(OsString::from_vec(target.into_bytes())),
            Err(Errno::INVAL) => return Err(Errno::NOTDIR.into()),
            Err(errno) => return Err(errno.into()),
        };
        if target.is_absolute() {
            self.folder = fs::open("/", WALK, Mode::empty())?;
        }
        Ok(parts(&target))
    }

    fn must_not_enter_the_kernel(&self, part: &OsStr) -> Result<(), SourceError> {
        let is_named_so = KERNEL_FOLDERS.iter().any(|name| part == *name);
        if is_named_so && self.top == Some(stat_handle(&self.folder)?.0.identity) {
            return Err(of_the_kernel());
        }
        Ok(())
    }
}

/// The path as it is meant, before any link is followed: `..` must not lead past the data root.
fn without_dots(path: &Path) -> Result<PathBuf, SourceError> {
    if !path.is_absolute() {
        return Err(hostile("its path is not absolute"));
    }
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        _ => None,
    });
    names.collect()
}

fn read_all(file: &OwnedFd, limit: usize) -> Result<String, SourceError> {
    let mut bytes = vec![0; limit + 1];
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::retry_on_intr(|| rustix::io::read(file, &mut *rest))? {
            0 => break,
            more => length += more,
        }
    }
    if length > limit {
        return Err(hostile(&format!("it is larger than {} KiB", limit >> 10)));
    }
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(target_os = "linux")]
fn must_not_be_of_the_kernel(file: &OwnedFd) -> Result<(), SourceError> {
    // By the numbers of <linux/magic.h>.
    match fs::fstatfs(file)?.f_type as u64 & 0xffff_ffff {
        // proc, sysfs, devpts, securityfs, selinuxfs, debugfs, tracefs, configfs, bpf, efivarfs, pstore, nsfs,
        // cgroup, cgroup2, mqueue, binfmt_misc.
        0x9fa0 | 0x6265_6572 | 0x1cd1 | 0x7363_6673 | 0xf97c_ff8c | 0x6462_6720 | 0x7472_6163
        | 0x6265_6570 | 0xcafe_4a11 | 0xde5e_81e4 | 0x6165_676c | 0x6e73_6673 | 0x0027_e0eb | 0x6367_7270
        | 0x1980_0202 | 0x4249_4e4d => Err(of_the_kernel()),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn must_not_be_of_the_kernel(_file: &OwnedFd) -> Result<(), SourceError> {
    Ok(())
}

fn of_the_kernel() -> SourceError {
    hostile("it is below /proc, /sys or /dev")
}

fn hostile(why: &str) -> SourceError {
    SourceError::Hostile(why.to_owned())
}
