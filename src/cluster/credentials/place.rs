//! Where a kubeconfig lies. It names programs that the server starts and files that it sends as its token, so one that
//! agents can write makes them the server: also by an agent's own settings, which an agent may change by the host's API.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::sources::unusable;
use crate::cluster::client::Access;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// Refuses a kubeconfig that agents can write: see [`leads_through`]. Asked once: a way that does not lead through the
/// volume is changed by operators only, and a volume that hangs must not keep new credentials from being read. Blocks.
pub(super) fn must_be_the_operators(access: &Access) -> Result<(), String> {
    for path in &access.kubeconfigs {
        match leads_through(path, &access.volumes) {
            Ok(true) => {
                return Err(
                    unusable(access, "it lies on the shared volume, where agents can write")
                        + ". It names programs that the server starts: mount it from a Secret into the server's pod, \
                       beside the volume",
                );
            }
            Ok(false) => {}
            // Of several files some may not be there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(access, &format!("where it lies is not known: {error}"))),
        }
    }
    Ok(())
}

/// Whether the way to the file leads through one of these folders, by whichever names and links. A folder that is not
/// there has nothing in it. Blocks.
///
/// # Errors
/// What keeps the way, or a folder that is there, from being looked at: then nobody knows.
fn leads_through(path: &Path, folders: &[PathBuf]) -> io::Result<bool> {
    let mut known = Vec::new();
    for folder in folders {
        match identity(folder, true) {
            Ok(found) => known.push(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let mut at = PathBuf::from("/");
    let mut left = parts(&std::path::absolute(path)?);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if known.contains(&identity(&at, false)?) {
            return Ok(true);
        }
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(part);
        match link(&next)? {
            None => at = next,
            Some(_) if links == MOST_LINKS => return Err(io::Error::other("too many links")),
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                parts(&target)
                    .into_iter()
                    .rev()
                    .for_each(|part| left.push_front(part));
            }
        }
    }
    Ok(false)
}

/// Names and `..`; what a path has besides leads nowhere.
fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_owned()),
        _ => None,
    });
    parts.collect()
}

/// Device and inode. A link is followed where that is asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own files: links are looked at, and nothing is read"
)]
fn identity(path: &Path, is_followed: bool) -> io::Result<(u64, u64)> {
    let found = match is_followed {
        true => std::fs::metadata(path)?,
        false => std::fs::symlink_metadata(path)?,
    };
    Ok((found.dev(), found.ino()))
}

/// Where a link leads to; `None` for what is no link.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own files: links are looked at, and nothing is read"
)]
fn link(path: &Path) -> io::Result<Option<PathBuf>> {
    match std::fs::symlink_metadata(path)?.is_symlink() {
        true => std::fs::read_link(path).map(Some),
        false => Ok(None),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_on_the_volume_is_known_by_whatever_name() {
        let temp = tempfile::tempdir().expect("a folder");
        let at = |name: &str| temp.path().join(name);
        for folder in ["volume/deep", "own/..data", "volume-2"] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for file in [
            "volume/config",
            "volume/deep/config",
            "own/..data/config",
            "volume-2/config",
        ] {
            fs::write(at(file), "").expect("a file");
        }
        for (link, target) in [
            ("mount", at("volume")),
            ("own/to-file", at("volume/config")),
            ("own/by-folder", PathBuf::from("../mount/deep")),
            // Whoever owns this link has another target for it in a moment.
            ("volume/out", at("own/..data/config")),
            ("own/config", PathBuf::from("..data/config")),
            ("own/round", PathBuf::from("round")),
        ] {
            symlink(target, at(link)).expect("a link");
        }
        let leads = |path: &str, root: &str| leads_through(&at(path), &[at("not-there"), at(root)]).ok();
        for path in [
            "volume/config",
            "volume/deep/config",
            "own/../volume/config",
            "mount/config",
            "own/to-file",
            "own/by-folder/config",
            "volume/out",
            "volume/../own/config",
        ] {
            assert_eq!(leads(path, "volume"), Some(true), "{path}");
            assert_eq!(leads(path, "mount"), Some(true), "{path}");
        }
        for path in ["own/config", "volume-2/config", "own/..data/config"] {
            assert_eq!(leads(path, "volume"), Some(false), "{path}");
        }
        // Nobody knows where these would be.
        assert_eq!(leads("own/round", "volume"), None);
        assert_eq!(leads("own/absent", "volume"), None);
    }

    #[test]
    fn a_kubeconfig_that_agents_can_write_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        fs::write(&path, "kind: Config\n").expect("a file");
        let on_volume = |volume: PathBuf| Access {
            kubeconfigs: vec![path.clone()],
            volumes: vec![volume],
            ..Access::default()
        };
        let other = tempfile::tempdir().expect("a folder");
        for volume in [Path::new("/not-there"), other.path()] {
            assert_eq!(must_be_the_operators(&on_volume(volume.to_owned())), Ok(()));
        }
        let refused = must_be_the_operators(&on_volume(folder.path().to_owned())).expect_err("refused");
        assert!(
            refused.starts_with("Kubeconfig not usable: it lies on the shared volume"),
            "{refused}"
        );
    }
}
