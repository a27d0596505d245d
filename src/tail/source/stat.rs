//! The state of a file by its name or its handle, asked of the file's server where the system can, and the kind of its
//! file system.

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, FileType};
use rustix::io::Errno;

use super::{FileState, Freshness, SourceError};

/// The state of the file of this name in the folder. A link is not followed.
pub(super) fn stat_at(folder: &OwnedFd, name: &str) -> Result<(FileState, FileType), Errno> {
    stat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The state of the open file.
pub(super) fn stat_handle(file: &OwnedFd) -> Result<(FileState, FileType), Errno> {
    stat(file, c"", EMPTY_PATH)
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
) -> Result<(FileState, FileType), Errno> {
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
    let seen = FileState {
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
) -> Result<(FileState, FileType), Errno> {
    use rustix::fs::{StatxFlags, makedev};
    // AT_STATX_FORCE_SYNC of <linux/fcntl.h>.
    const FORCE_SYNC: AtFlags = AtFlags::from_bits_retain(0x2000);
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::SIZE;
    let stat = fs::statx(at, name, flags | FORCE_SYNC, wanted)?;
    let seen = FileState {
        // As fstat has it, should statx be refused later on.
        identity: (makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
        size: stat.stx_size,
        links: u64::from(stat.stx_nlink),
    };
    Ok((seen, FileType::from_raw_mode(stat.stx_mode.into())))
}

#[cfg(target_os = "linux")]
pub(super) fn freshness_of(file: &OwnedFd) -> Freshness {
    fs::fstatfs(file).map_or(Freshness::Cached, |stat| {
        freshness_of_magic(stat.f_type as u64 & 0xffff_ffff)
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn freshness_of(_file: &OwnedFd) -> Freshness {
    Freshness::Cached
}

/// The kind of the file system of this folder.
///
/// # Errors
/// When the folder cannot be opened.
pub fn freshness_at(folder: &std::path::Path) -> Result<Freshness, SourceError> {
    let flags = fs::OFlags::RDONLY | fs::OFlags::DIRECTORY | fs::OFlags::CLOEXEC;
    Ok(freshness_of(&fs::open(folder, flags, fs::Mode::empty())?))
}

/// By the numbers of `<linux/magic.h>` and of the vendors. What is not in the list, such as NFS, SMB, FUSE, 9p, Lustre
/// and GPFS, may hide what others wrote.
#[cfg(target_os = "linux")]
fn freshness_of_magic(magic: u64) -> Freshness {
    match magic {
        // Shared, and coherent by design: CephFS, GFS2, OCFS2.
        0x00c3_6400 | 0x0116_1970 | 0x7461_636f => Freshness::Coherent,
        // ext2 to 4, XFS, Btrfs, F2FS, bcachefs, ZFS, JFS, ReiserFS, exFAT, FAT.
        0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 | 0xca45_1a4e | 0x2fc1_2fc1 | 0x3153_464a
        | 0x5265_4973 | 0x2011_bab0 | 0x4d44
        // tmpfs, ramfs, overlayfs.
        | 0x0102_1994 | 0x8584_58f6 | 0x794c_7630 => Freshness::Local,
        _ => Freshness::Cached,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_local_is_not_trusted() {
        for (magic, freshness) in [
            (0xef53, Freshness::Local),
            (0x0102_1994, Freshness::Local),
            (0x00c3_6400, Freshness::Coherent),
            (0x6969, Freshness::Cached),
            (0xfe53_4d42, Freshness::Cached),
            (0xff53_4d42, Freshness::Cached),
            (0x6573_5546, Freshness::Cached),
            (0x0102_1997, Freshness::Cached),
            (0x1234_5678, Freshness::Cached),
        ] {
            assert_eq!(freshness_of_magic(magic), freshness, "{magic:#x}");
        }
    }
}
