//! The path is written by the agent's pod, so that anything may stand there: nothing outside the run-log folder is
//! read or removed, and nothing blocks.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::tail::Driver;
use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::{FileSource, Ownership, RunFiles, VolumePath, read_text};

const SECRET: &str = "{\"a\":\"secret\"}\n";

/// A data root with a log in its folder, and a secret outside of it.
struct Volume {
    _temp: tempfile::TempDir,
    root: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    outside: PathBuf,
}

impl Volume {
    fn new() -> Self {
        let temp = tempfile::tempdir().expect("a folder");
        let (root, outside) = (temp.path().join("paperclip"), temp.path().join("outside"));
        let folder = root.join("instances/default/run-logs/company/agent");
        fs::create_dir_all(&folder).expect("folders");
        fs::create_dir_all(&outside).expect("a folder");
        fs::write(outside.join("run.pod.ndjson"), SECRET).expect("written");
        fs::write(outside.join("run.pod.end.json"), SECRET).expect("written");
        let log = folder.join("run.pod.ndjson");
        Self {
            _temp: temp,
            root,
            folder,
            log,
            outside,
        }
    }

    fn tail(&self, known: bool) -> Driver {
        let path = VolumePath::below(&self.root, &self.log).expect("a path");
        Driver::with(
            FileSource::new(path, known),
            TailOptions {
                appear: None,
                ..TailOptions::default()
            },
            4_096,
        )
    }

    fn secret(&self) -> PathBuf {
        self.outside.join("run.pod.ndjson")
    }

    fn files(&self) -> RunFiles {
        RunFiles::new(&self.root, &self.log).expect("a path")
    }
}

/// Root moves, for a pod, a file of others to a name that the server reads. Only root can show it.
#[test]
fn a_file_that_pods_may_not_read_is_not_read_for_them() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    if Ownership::of_this_process().uid != 0 {
        return;
    }
    for (uid, gid, mode, is_read) in [
        (0, 0, 0o600, false),
        (0, 0, 0o640, false),
        (999, 999, 0o600, false),
        (999, 1000, 0o640, true),
        (1000, 1000, 0o600, true),
        (0, 0, 0o644, true),
    ] {
        let volume = Volume::new();
        fs::write(&volume.log, SECRET).expect("written");
        fs::set_permissions(&volume.log, fs::Permissions::from_mode(mode)).expect("a mode");
        chown(&volume.log, Some(uid), Some(gid)).expect("root");
        let case = format!("{uid}:{gid} {mode:o}");
        for known in [true, false] {
            let mut tail = volume.tail(known);
            tail.look();
            assert_eq!(tail.text.contains("secret"), is_read, "{case}");
        }
        let read = volume.files().read_small("run.pod.ndjson", 99);
        assert_eq!(read.is_ok(), is_read, "{case}");
        let text = read_text(
            std::slice::from_ref(&volume.root),
            &volume.log,
            99,
            Ownership::default(),
        );
        assert_eq!(text.is_ok(), is_read, "{case}");
    }
}

/// What the first look says; one that blocks never comes back.
fn refused(volume: &Volume) -> String {
    let mut tail = volume.tail(false);
    tail.look();
    assert_eq!(tail.text, "");
    match tail.end {
        Some(Proof::Failed(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_plain_file_is_an_error_at_once() {
    type Case = (&'static str, fn(&Volume));
    let cases: [Case; 6] = [
        ("a symbolic link", |v| {
            symlink(v.secret(), &v.log).expect("a link")
        }),
        ("a directory", |v| fs::create_dir(&v.log).expect("a folder")),
        ("a FIFO", |v| mknod(&v.log, rustix::fs::FileType::Fifo)),
        ("a socket", |v| {
            drop(UnixListener::bind(&v.log).expect("a socket"))
        }),
        ("a second hard link", |v| {
            fs::hard_link(v.secret(), &v.log).expect("a link")
        }),
        ("a symbolic link", |v| {
            symlink("/dev/zero", &v.log).expect("a link")
        }),
    ];
    for (what, make) in cases {
        let volume = Volume::new();
        // A socket's path is short.
        make(&volume);
        let message = refused(&volume);
        assert!(message.contains(what), "{what}: {message}");
        assert!(
            message.starts_with("Pod log file at /shown is not read: "),
            "{message}"
        );
    }
}

#[cfg(target_os = "linux")]
fn mknod(path: &Path, kind: rustix::fs::FileType) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o666.into(), 0).expect("a node");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_an_error_at_once() {
    let volume = Volume::new();
    let made = rustix::fs::mknodat(
        rustix::fs::CWD,
        &volume.log,
        rustix::fs::FileType::CharacterDevice,
        0o666.into(),
        rustix::fs::makedev(1, 5),
    );
    // Only root may make one.
    if made.is_ok() {
        assert!(refused(&volume).contains("a device"));
    }
}

#[test]
fn the_file_swapped_for_a_link_between_two_polls_is_not_followed() {
    let volume = Volume::new();
    fs::write(&volume.log, "one\n").expect("written");
    let mut tail = volume.tail(true);
    tail.settle();
    fs::remove_file(&volume.log).expect("removed");
    symlink(volume.secret(), &volume.log).expect("a link");
    tail.run(Duration::from_secs(120));
    assert_eq!((tail.text.as_str(), tail.end.as_ref()), ("one\n", None));
    assert_eq!(
        tail.notices
            .iter()
            .filter(|notice| notice.contains("symbolic link"))
            .count(),
        1
    );
    // The log comes back, and the tail goes on.
    fs::remove_file(&volume.log).expect("removed");
    fs::write(&volume.log, "one\ntwo\n").expect("written");
    let (proof, _) = tail.finish(FinishRule::Drain);
    assert_eq!((proof, tail.text.as_str()), (Proof::Unproven, "one\ntwo\n"));
}

#[test]
fn a_folder_above_swapped_for_a_link_is_not_followed() {
    for above in [
        "instances",
        "instances/default/run-logs",
        "instances/default/run-logs/company/agent",
    ] {
        let volume = Volume::new();
        fs::write(&volume.log, "one\n").expect("written");
        let mut tail = volume.tail(true);
        tail.settle();
        // The whole way is rebuilt outside, and the name points there.
        let folder = volume.root.join(above);
        let rest = volume.log.strip_prefix(&folder).expect("below");
        let trap = volume.outside.join("trap");
        fs::create_dir_all(trap.join(rest).parent().expect("a folder")).expect("folders");
        fs::write(trap.join(rest), SECRET).expect("written");
        fs::rename(&folder, volume.root.join("moved")).expect("renamed");
        symlink(&trap, &folder).expect("a link");
        tail.run(Duration::from_secs(120));
        assert_eq!((tail.text.as_str(), tail.end.as_ref()), ("one\n", None));
        // Nor for the other verbs.
        let files = volume.files();
        assert!(
            files.read_small("run.pod.ndjson", 100).is_err(),
            "what is no file is not absent"
        );
        assert!(files.remove(["run.pod.ndjson"]).is_some(), "{above}");
        assert!(
            files.prepare(Ownership::default(), &[("new", b"")]).is_err(),
            "{above}"
        );
        assert_eq!(fs::read_to_string(trap.join(rest)).expect("the secret"), SECRET);
        assert!(!trap.join(rest).with_file_name("new").exists());
        let mut first = volume.tail(false);
        first.look();
        assert!(matches!(first.end, Some(Proof::Failed(_))));
    }
}

#[test]
fn removing_a_link_leaves_what_it_points_to() {
    let volume = Volume::new();
    symlink(volume.secret(), &volume.log).expect("a link");
    assert!(volume.files().remove(["run.pod.ndjson"]).is_none());
    assert!(!volume.log.exists());
    assert_eq!(fs::read_to_string(volume.secret()).expect("the secret"), SECRET);
}

#[test]
fn a_second_link_to_the_file_of_the_server_is_one_warning() {
    let volume = Volume::new();
    fs::write(&volume.log, "one\n").expect("written");
    let mut tail = volume.tail(true);
    tail.settle();
    fs::hard_link(&volume.log, volume.folder.join("other")).expect("a link");
    tail.run(Duration::from_secs(120));
    assert_eq!((tail.text.as_str(), tail.end.as_ref()), ("one\n", None));
    assert_eq!(tail.notices, ["the log file has a second hard link"]);
}

/// Being the server's own file is a property of that file, not of its name.
#[test]
fn a_file_with_a_second_link_in_place_of_the_log_is_not_read() {
    for known in [true, false] {
        let volume = Volume::new();
        fs::write(&volume.log, "one\n").expect("written");
        let mut tail = volume.tail(known);
        tail.settle();
        fs::remove_file(&volume.log).expect("removed");
        fs::hard_link(volume.secret(), &volume.log).expect("a link");
        tail.run(Duration::from_secs(120));
        assert_eq!((tail.text.as_str(), tail.end.as_ref()), ("one\n", None));
        let said = |notice: &&String| notice.contains("second hard link");
        assert_eq!(tail.notices.iter().filter(said).count(), 1, "{:?}", tail.notices);
        // The log comes back, and the tail goes on.
        fs::remove_file(&volume.log).expect("removed");
        fs::write(&volume.log, "one\ntwo\n").expect("written");
        let (proof, _) = tail.finish(FinishRule::Drain);
        assert_eq!((proof, tail.text.as_str()), (Proof::Unproven, "one\ntwo\n"));
    }
}

#[test]
fn outside_of_the_data_root_the_last_component_is_checked() {
    let volume = Volume::new();
    let first = |path: &Path| {
        let source = FileSource::new(VolumePath::in_trusted_folder(path).expect("a path"), false);
        let mut tail = Driver::with(source, TailOptions::default(), 4_096);
        tail.look();
        (tail.text, tail.end)
    };
    fs::write(&volume.log, "one\n").expect("written");
    let way = volume.outside.join("way");
    symlink(&volume.folder, &way).expect("a link");
    assert_eq!(first(&way.join("run.pod.ndjson")), ("one\n".to_owned(), None));
    let link = volume.outside.join("link");
    symlink(&volume.log, &link).expect("a link");
    let (text, end) = first(&link);
    assert!(
        text.is_empty() && matches!(end, Some(Proof::Failed(_))),
        "{end:?}"
    );
    fs::hard_link(&volume.log, volume.outside.join("second")).expect("a link");
    let (text, end) = first(&volume.log);
    assert!(
        text.is_empty() && matches!(end, Some(Proof::Failed(_))),
        "{end:?}"
    );
}

#[test]
fn only_plain_paths_below_the_root_are_taken() {
    let root = Path::new("/paperclip");
    for bad in [
        "/paperclip/../etc/passwd",
        "/paperclip/a/../../etc/passwd",
        "/etc/passwd",
        "/paperclip",
        "relative",
    ] {
        assert!(VolumePath::below(root, Path::new(bad)).is_none(), "{bad}");
    }
}
