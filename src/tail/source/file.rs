//! A log file on a disk, read with direct syscalls.

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType};
use rustix::io::Errno;

use super::place::must_be_regular;
use super::{Freshness, LogSource, Place, Seen, SourceError};

/// One file by its place. Closed handles are the normal state before the file exists.
#[derive(Debug)]
pub struct FileSource {
    place: Place,
    mount: String,
    open: Option<Open>,
    freshness: Freshness,
    /// Set when the server made the file itself: then its first hard link count is no sign of an attack.
    known: bool,
}

/// The folder is held beside the file: with it one syscall tells whether the path still names this file.
#[derive(Debug)]
struct Open {
    folder: OwnedFd,
    file: OwnedFd,
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
            known,
        }
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
        let file = self.place.open_file(&folder)?;
        let (seen, _) = stat(&file, c"", EMPTY_PATH)?;
        if seen.links > 1 && !self.known {
            return Err(SourceError::Hostile("it has a second hard link".to_owned()));
        }
        // Later links on the same file are a warning of the caller: another agent could make them.
        self.known = true;
        self.freshness = freshness_of(&file);
        self.open = Some(Open { folder, file });
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
    let (seen, kind) = stat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    must_be_regular(kind)?;
    Ok(seen)
}

#[cfg(target_os = "linux")]
const EMPTY_PATH: AtFlags = AtFlags::EMPTY_PATH;
#[cfg(not(target_os = "linux"))]
const EMPTY_PATH: AtFlags = AtFlags::empty();

/// Asks the file's server and not the attribute cache, where the system can.
fn stat(
    at: &OwnedFd,
    name: impl rustix::path::Arg + Copy,
    flags: AtFlags,
) -> Result<(Seen, FileType), Errno> {
    #[cfg(target_os = "linux")]
    match forced_stat(at, name, flags) {
        // Old kernels and some sandboxes do not have `statx`.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
        answer => return answer,
    }
    let of_handle = flags == EMPTY_PATH;
    let stat = if of_handle {
        fs::fstat(at)?
    } else {
        fs::statat(at, name, flags)?
    };
    // The widths of these fields differ between platforms.
    let seen = Seen {
        identity: (stat.st_dev as u64, stat.st_ino as u64),
        size: stat.st_size.max(0) as u64,
        links: stat.st_nlink as u64,
    };
    Ok((seen, FileType::from_raw_mode(stat.st_mode)))
}

#[cfg(target_os = "linux")]
fn forced_stat(
    at: &OwnedFd,
    name: impl rustix::path::Arg,
    flags: AtFlags,
) -> Result<(Seen, FileType), Errno> {
    use rustix::fs::{StatxFlags, makedev};
    // AT_STATX_FORCE_SYNC of <linux/fcntl.h>.
    const FORCE_SYNC: AtFlags = AtFlags::from_bits_retain(0x2000);
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::SIZE;
    let stat = fs::statx(at, name, flags | FORCE_SYNC, wanted)?;
    let seen = Seen {
        // As fstat has it, should statx be refused later on.
        identity: (makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
        size: stat.stx_size,
        links: u64::from(stat.stx_nlink),
    };
    Ok((seen, FileType::from_raw_mode(stat.stx_mode.into())))
}

/// How late the file system of this folder shows what other machines wrote.
///
/// # Errors
/// When the folder cannot be opened.
pub fn freshness_at(folder: &std::path::Path) -> Result<Freshness, SourceError> {
    let flags = fs::OFlags::RDONLY | fs::OFlags::DIRECTORY | fs::OFlags::CLOEXEC;
    Ok(freshness_of(&fs::open(folder, flags, fs::Mode::empty())?))
}

/// By the magic numbers of `<linux/magic.h>` and of the vendors.
#[cfg(target_os = "linux")]
fn freshness_of(file: &OwnedFd) -> Freshness {
    match fs::fstatfs(file).map(|stat| stat.f_type as u64 & 0xffff_ffff) {
        Ok(0x00c3_6400) => Freshness::Coherent,
        // NFS, SMB2, CIFS, FUSE (also virtiofs), 9p, Lustre, GPFS.
        Ok(0x6969 | 0xfe53_4d42 | 0xff53_4d42 | 0x6573_5546 | 0x0102_1997 | 0x0bd0_0bd0 | 0x4750_4653)
        | Err(_) => Freshness::Cached,
        Ok(_) => Freshness::Local,
    }
}

#[cfg(not(target_os = "linux"))]
fn freshness_of(_file: &OwnedFd) -> Freshness {
    Freshness::Cached
}
