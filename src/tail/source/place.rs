//! A path below the data root (or anywhere, for the exported tail), and the walk to it.

use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};

use super::stat::stat_handle;
use super::{Seen, SourceError};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// NONBLOCK: opening a FIFO that nobody writes must not block a thread for ever.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Where a file is: a trusted folder, the folders below it that are walked without following links, and its name.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
    folders: Vec<String>,
    name: String,
}

impl Place {
    /// A file below `data_root`. `None` when `path` is not below it or is no plain absolute path.
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

    /// Any other file: its folder is trusted, its last component is checked.
    #[must_use]
    pub fn anywhere(path: &Path) -> Option<Self> {
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

    /// A file of another name in the same folder.
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

    /// The same walk in one call. `None`, whatever the reason: the walk by components says what is wrong, and does
    /// without this call where the system has none or a sandbox refuses it.
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

    /// Opens the folder and makes what is missing; calls `made` with each new folder's handle.
    pub(super) fn make_folder(
        &self,
        mode: Mode,
        mut made: impl FnMut(&OwnedFd) -> Result<(), SourceError>,
    ) -> Result<OwnedFd, SourceError> {
        let mut folder = fs::open(&self.root, FOLDER, Mode::empty())?;
        for part in &self.folders {
            let new = match fs::mkdirat(&folder, part, mode) {
                Ok(()) => true,
                Err(rustix::io::Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            folder = fs::openat(&folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            if new {
                made(&folder)?;
            }
        }
        Ok(folder)
    }

    /// Opens the file in its folder for reading if it is a regular file.
    pub(super) fn open_file(&self, folder: &OwnedFd) -> Result<(OwnedFd, Seen), SourceError> {
        // Looked at first, because opening a device can have effects of its own.
        let stat = fs::statat(folder, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        must_be_regular(FileType::from_raw_mode(stat.st_mode))?;
        let file = self.open_quietly(folder)?;
        // Looked at again, because it may have been swapped in between.
        let (seen, kind) = stat_handle(&file)?;
        must_be_regular(kind)?;
        Ok((file, seen))
    }

    /// Without a new access time where the file is ours: it would be written for every read of a log that grows.
    fn open_quietly(&self, folder: &OwnedFd) -> Result<OwnedFd, rustix::io::Errno> {
        let open = |flags| fs::openat(folder, self.name.as_str(), flags, Mode::empty());
        #[cfg(target_os = "linux")]
        match open(FILE | OFlags::NOATIME) {
            Err(rustix::io::Errno::PERM) => {}
            answer => return answer,
        }
        open(FILE)
    }

    /// The trusted folder from which the walk starts.
    pub(super) fn root(&self) -> &Path {
        &self.root
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
    fn only_plain_paths_below_the_root_are_taken() {
        let root = Path::new("/paperclip");
        assert!(Place::below(root, Path::new("/paperclip/a/b.ndjson")).is_some());
        assert!(Place::below(root, Path::new("/paperclip/../etc/passwd")).is_none());
        assert!(Place::below(root, Path::new("/etc/passwd")).is_none());
        assert!(Place::below(root, Path::new("/paperclip")).is_none());
    }
}
