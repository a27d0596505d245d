//! A log file on a disk, read with direct syscalls.

use rustix::fd::OwnedFd;
use rustix::fs;
use rustix::io::Errno;

use super::{Freshness, LogSource, Place, Seen, SourceError};

/// One file by its place. Closed handles are the normal state before the file exists.
#[derive(Debug)]
pub struct FileSource {
    place: Place,
    file: Option<OwnedFd>,
    freshness: Freshness,
    /// Set when the server made the file itself: then its first hard link count is no sign of an attack.
    known: bool,
    opened_once: bool,
}

impl FileSource {
    /// `known`: the server created this file, so that a second hard link is a warning and not an error.
    #[must_use]
    pub fn new(place: Place, known: bool) -> Self {
        Self {
            place,
            file: None,
            freshness: Freshness::Local,
            known,
            opened_once: false,
        }
    }

    fn open(&mut self) -> Result<&OwnedFd, SourceError> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = self.place.open_file()?;
                if !self.opened_once && !self.known && fs::fstat(&file)?.st_nlink > 1 {
                    return Err(SourceError::Hostile("it has a second hard link".to_owned()));
                }
                self.opened_once = true;
                self.freshness = freshness_of(&file);
                file
            }
        };
        Ok(self.file.insert(file))
    }

    /// A handle that the server has lost is of no more use: the next call opens the path again.
    fn keep_if<T>(&mut self, result: Result<T, Errno>) -> Result<T, SourceError> {
        if result.is_err() {
            self.file = None;
        }
        Ok(result?)
    }
}

impl LogSource for FileSource {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let file = self.open()?;
        let result = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, offset));
        self.keep_if(result)
    }

    fn look(&mut self) -> Result<Seen, SourceError> {
        let result = look(self.open()?);
        self.keep_if(result)
    }

    fn reopen(&mut self) {
        self.file = None;
    }

    fn freshness(&self) -> Freshness {
        self.freshness
    }
}

fn look(file: &OwnedFd) -> Result<Seen, Errno> {
    #[cfg(target_os = "linux")]
    if let Ok(stat) = forced_stat(file) {
        return Ok(stat);
    }
    let stat = fs::fstat(file)?;
    // The widths of these fields differ between platforms.
    Ok(Seen {
        identity: (stat.st_dev as u64, stat.st_ino as u64),
        size: stat.st_size.max(0) as u64,
        links: stat.st_nlink as u64,
    })
}

/// Asks the file's server and not the attribute cache. Old kernels and some sandboxes do not have `statx`.
#[cfg(target_os = "linux")]
fn forced_stat(file: &OwnedFd) -> Result<Seen, Errno> {
    use rustix::fs::{AtFlags, StatxFlags};
    // AT_STATX_FORCE_SYNC of <linux/fcntl.h>.
    const FORCE_SYNC: AtFlags = AtFlags::from_bits_retain(0x2000);
    let stat = fs::statx(
        file,
        c"",
        AtFlags::EMPTY_PATH | FORCE_SYNC,
        StatxFlags::BASIC_STATS,
    )?;
    Ok(Seen {
        identity: (
            (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
            stat.stx_ino,
        ),
        size: stat.stx_size,
        links: u64::from(stat.stx_nlink),
    })
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
