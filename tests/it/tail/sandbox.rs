//! Old kernels and sandboxes refuse the newer syscalls: then the older ones give the same answers.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::tail::Driver;
use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::follower::{FinishRule, Proof};
use opencode_k8s::tail::source::{FileSource, VolumePath};
use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Numbers of `statx` and `openat2`.
#[cfg(target_arch = "x86_64")]
const NEWER: [i64; 2] = [332, 437];
#[cfg(target_arch = "aarch64")]
const NEWER: [i64; 2] = [291, 437];

/// What the sandbox answers, in the process that plays it.
const REFUSAL: &str = "TAIL_SANDBOX_REFUSAL";

/// From here on the kernel answers the newer calls of this thread with `errno`.
fn refuse_newer_calls(errno: Errno) {
    let arch = std::env::consts::ARCH.try_into().expect("a known machine");
    let refuse = SeccompAction::Errno(errno.raw_os_error() as u32);
    let rules = NEWER.into_iter().map(|call| (call, Vec::new())).collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("the filter is taken");
    let refused = rustix::fs::statx(CWD, ".", AtFlags::empty(), StatxFlags::SIZE);
    refused.expect_err("statx is refused");
}

fn tail(root: &Path, known: bool) -> Driver {
    let path = VolumePath::below(root, &root.join("run-logs/run.pod.ndjson")).expect("a path");
    let options = TailOptions {
        appear: None,
        ..TailOptions::default()
    };
    Driver::with(FileSource::new(path, known), options, 4_096)
}

fn volume(root: &Path) -> std::path::PathBuf {
    fs::create_dir_all(root.join("run-logs")).expect("a folder");
    root.join("run-logs/run.pod.ndjson")
}

fn followed_and_replaced(root: &Path) {
    let log = volume(root);
    fs::write(&log, "one\n").expect("written");
    let mut tail = tail(root, true);
    tail.settle();
    fs::write(&log, "one\ntwo\n").expect("written");
    tail.settle();
    fs::rename(&log, root.join("old")).expect("renamed");
    fs::write(&log, "one\nthree\n").expect("written");
    tail.settle();
    let (proof, _) = tail.finish(FinishRule::Drain);
    assert_eq!(
        (proof, tail.text.as_str()),
        (Proof::Unproven, "one\ntwo\nthree\n")
    );
    assert_eq!(tail.notices.len(), 1, "{:?}", tail.notices);
}

fn links_refused(root: &Path) {
    let log = volume(root);
    let secret = root.join("secret");
    fs::write(&secret, "secret\n").expect("written");
    let refused = |what: &str| {
        let mut tail = tail(root, false);
        tail.look();
        assert_eq!(tail.text, "");
        let is_named = matches!(&tail.end, Some(Proof::Failed(message)) if message.contains(what));
        assert!(is_named, "{what}: {:?}", tail.end);
        let _ = fs::remove_file(&log);
    };
    symlink(&secret, &log).expect("a link");
    refused("a symbolic link");
    fs::hard_link(&secret, &log).expect("a link");
    refused("a second hard link");
    fs::rename(root.join("run-logs"), root.join("moved")).expect("renamed");
    fs::write(root.join("moved/run.pod.ndjson"), "secret\n").expect("written");
    symlink(root.join("moved"), root.join("run-logs")).expect("a link");
    refused("a folder of its path is a symbolic link");
}

/// Each refusal in a process of its own: what the kernel answered once is remembered for the process.
#[test]
fn without_statx_and_openat2_the_answers_are_the_same() {
    let Ok(refusal) = std::env::var(REFUSAL) else {
        for errno in [Errno::NOSYS, Errno::PERM] {
            let status = Command::new(std::env::current_exe().expect("this test"))
                .args([
                    "--exact",
                    "tail::sandbox::without_statx_and_openat2_the_answers_are_the_same",
                ])
                .env(REFUSAL, errno.raw_os_error().to_string())
                .status()
                .expect("it runs");
            assert!(status.success(), "{errno}");
        }
        return;
    };
    refuse_newer_calls(Errno::from_raw_os_error(refusal.parse().expect("a number")));
    for test in [followed_and_replaced, links_refused] {
        let folder = tempfile::tempdir().expect("a folder");
        test(folder.path());
    }
}
