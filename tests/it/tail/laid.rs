//! What agents lay under the names of a run's files, before or while it runs: it is removed without being looked into,
//! and what stands in a folder that pods may not enter is not theirs.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use opencode_k8s::tail::source::{Ownership, RunFiles, read_text};

const NAME: &str = "run.pod.ndjson";

struct Volume {
    temp: tempfile::TempDir,
    folder: PathBuf,
}

impl Volume {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("a folder");
        let folder = temp.path().join("root/logs/agent");
        fs::create_dir_all(&folder).expect("folders");
        fs::write(temp.path().join("precious"), "precious").expect("a file");
        Self { temp, folder }
    }

    fn root(&self) -> PathBuf {
        self.temp.path().join("root")
    }

    fn files(&self) -> RunFiles {
        RunFiles::new(&self.root(), &self.folder.join(NAME)).expect("a path")
    }
}

#[test]
fn whatever_has_the_name_is_removed_and_nothing_is_followed() {
    type Lay = fn(&Path, &Path);
    let lays: [(&str, Lay); 5] = [
        ("a link to a file", |at, precious| {
            symlink(precious, at).expect("a link")
        }),
        ("a link to a folder", |at, precious| {
            symlink(precious.parent().expect("a folder"), at).expect("a link");
        }),
        ("a folder", |at, _| fs::create_dir(at).expect("a folder")),
        ("a folder with a link in it", |at, precious| {
            fs::create_dir(at).expect("a folder");
            symlink(precious, at.join("link")).expect("a link");
        }),
        ("a file that nobody may read", |at, _| {
            fs::write(at, "x").expect("a file");
            fs::set_permissions(at, fs::Permissions::from_mode(0o000)).expect("a mode");
        }),
    ];
    for (what, lay) in lays {
        let volume = Volume::new();
        let (at, precious) = (volume.folder.join(NAME), volume.temp.path().join("precious"));
        lay(&at, &precious);
        let files = volume.files();
        assert_eq!(files.any_of([NAME]), Ok(true), "{what}");
        assert!(
            files
                .prepare(Ownership::of_this_process(), &[(NAME, b"")])
                .is_err(),
            "{what}"
        );
        assert_eq!(files.remove([NAME]), None, "{what}");
        assert_eq!(files.any_of([NAME]), Ok(false), "{what}");
        assert!(
            files
                .prepare(Ownership::of_this_process(), &[(NAME, b"")])
                .is_ok(),
            "{what}"
        );
        assert_eq!(
            fs::read_to_string(&precious).expect("a file"),
            "precious",
            "{what}"
        );
    }
}

#[test]
fn a_folder_that_does_not_answer_does_not_say_that_nothing_is_there() {
    let volume = Volume::new();
    fs::remove_dir(&volume.folder).expect("removed");
    assert_eq!(volume.files().any_of([NAME]), Ok(false));
    fs::write(&volume.folder, "").expect("a file");
    assert!(volume.files().any_of([NAME]).is_err());
}

/// Only root reads what stands there.
#[test]
fn a_file_in_a_folder_that_pods_may_not_enter_is_not_read_for_them() {
    if Ownership::of_this_process().uid != 0 {
        return;
    }
    let volume = Volume::new();
    let at = volume.folder.join("AGENTS.md");
    fs::write(&at, "for everybody").expect("a file");
    let read = || read_text(&[volume.root()], &at, 99, Ownership::default());
    assert_eq!(read().as_deref(), Ok("for everybody"));
    fs::set_permissions(&volume.folder, fs::Permissions::from_mode(0o700)).expect("a mode");
    assert!(read().is_err_and(|error| error.to_string().contains("may not enter")));
}

/// The kubelet follows a link in the way to a part of the volume, to wherever in the volume it leads.
#[test]
fn a_folder_that_a_pod_is_to_see_is_reached_without_links() {
    let volume = Volume::new();
    let root = volume.root();
    let prepare = |folder: &str| {
        RunFiles::prepare_shown_folder(&root, &root.join(folder), Ownership::of_this_process())
    };
    prepare("work/repo").expect("made");
    prepare("work/repo").expect("there");
    assert!(root.join("work/repo").is_dir());
    symlink("../../logs", root.join("work/repo/task")).expect("a link");
    fs::write(root.join("work/file"), "").expect("a file");
    for folder in ["work/repo/task", "work/repo/task/agent", "work/file"] {
        let refused = prepare(folder).expect_err("refused").to_string();
        let start = format!("Folder leads elsewhere: {}: ", root.join(folder).display());
        assert!(refused.starts_with(&start), "{refused}");
    }
}

/// A default ACL that gives nobody anything, as the kernel keeps it.
#[cfg(target_os = "linux")]
fn deny_all(folder: &Path) -> bool {
    let entry = |tag: u16| [&tag.to_le_bytes()[..], &[0, 0], &u32::MAX.to_le_bytes()].concat();
    let acl = [vec![2, 0, 0, 0], entry(1), entry(4), entry(0x10), entry(0x20)].concat();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(folder, "system.posix_acl_default", &acl, flags).is_ok()
}

/// What is no folder, is closed to its owner, or closes what is made in it.
#[test]
fn the_way_to_the_files_is_cleared() {
    type Lay = fn(&Path);
    let lays: [(&str, Lay); 6] = [
        ("a link", |at| symlink("../elsewhere", at).expect("a link")),
        ("a link to nothing", |at| symlink("nothing", at).expect("a link")),
        ("a file", |at| fs::write(at, "x").expect("a file")),
        ("a closed folder", |at| {
            fs::create_dir(at).expect("a folder");
            fs::set_permissions(at, fs::Permissions::from_mode(0o000)).expect("a mode");
        }),
        ("a folder that lists nothing", |at| {
            fs::create_dir(at).expect("a folder");
            fs::set_permissions(at, fs::Permissions::from_mode(0o300)).expect("a mode");
        }),
        ("a folder that closes what is made in it", |at| {
            fs::create_dir(at).expect("a folder");
            #[cfg(target_os = "linux")]
            deny_all(at);
        }),
    ];
    for (what, lay) in lays {
        for is_of_agent in [true, false] {
            let volume = Volume::new();
            let logs = volume.root().join("logs");
            fs::create_dir(volume.root().join("elsewhere")).expect("a folder");
            fs::remove_dir(&volume.folder).expect("removed");
            if is_of_agent {
                lay(&volume.folder);
            } else {
                fs::remove_dir(&logs).expect("removed");
                lay(&logs);
            }
            let files = volume.files();
            assert_eq!(files.clear_way(2), Ok(()), "{what}");
            let made = files.prepare(Ownership::of_this_process(), &[(NAME, b"word")]);
            assert!(made.is_ok(), "{what}: {made:?}");
            let mode = fs::metadata(volume.folder.join(NAME))
                .expect("a file")
                .permissions()
                .mode();
            assert_eq!(mode & 0o600, 0o600, "{what}");
            assert_eq!(files.read_small(NAME, 9), Ok(Some(b"word".to_vec())), "{what}");
            let elsewhere = fs::read_dir(volume.root().join("elsewhere")).expect("a folder");
            assert_eq!(elsewhere.count(), 0, "{what}");
        }
    }
}

/// Whoever owns the folder above can rename one of the server's own to the name of the logs'.
#[test]
fn a_folder_of_the_servers_that_pods_may_not_enter_is_neither_opened_nor_used() {
    let volume = Volume::new();
    let logs = volume.root().join("logs");
    let pods = Ownership {
        uid: Ownership::of_this_process().uid + 1,
        gid: Ownership::of_this_process().gid + 1,
    };
    for (mode, is_used) in [(0o700, false), (0o750, false), (0o711, true), (0o755, true)] {
        fs::remove_dir_all(&logs).expect("removed");
        fs::create_dir(&logs).expect("a folder");
        fs::write(logs.join("master.key"), "secret").expect("a file");
        fs::set_permissions(&logs, fs::Permissions::from_mode(mode)).expect("a mode");
        assert_eq!(volume.files().of(pods).clear_way(2), Ok(()), "{mode:o}");
        let entries = fs::read_dir(volume.root()).expect("a folder").flatten();
        let folder = entries
            .map(|entry| entry.path())
            .find(|path| path.join("master.key").exists());
        let folder = folder.expect("it is somewhere");
        assert_eq!(folder == logs, is_used, "{mode:o}");
        let kept = fs::metadata(&folder).expect("a folder").permissions().mode();
        assert_eq!(kept & 0o7777, mode, "as it was");
        fs::remove_dir_all(&folder).expect("removed");
        fs::create_dir_all(&logs).expect("a folder");
    }
}

/// What an operator has made of the folders above is the operator's.
#[test]
fn only_the_last_folders_are_the_adapters() {
    let volume = Volume::new();
    let aside = volume.root().join("aside");
    fs::rename(volume.root().join("logs"), &aside).expect("renamed");
    symlink("aside", volume.root().join("logs")).expect("a link");
    assert!(volume.files().clear_way(1).is_err());
    assert!(
        fs::symlink_metadata(volume.root().join("logs"))
            .expect("a link")
            .is_symlink()
    );
    assert_eq!(volume.files().clear_way(2), Ok(()));
    assert!(aside.join("agent").is_dir() && !volume.root().join("logs").exists());
}
