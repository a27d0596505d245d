//! The hub with real threads: what hangs holds nobody up, and what ends leaves nothing behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::support::tail::live::open_files;
use crate::support::tail::live::{TEST_LIMIT, eventually, file, options};
use opencode_k8s::tail::follower::{FinishRule, Look, Proof};
use opencode_k8s::tail::source::{FileState, Freshness, LogSource, SourceError};
use opencode_k8s::tail::{Hub, TailOptions};

/// A mount that answers or hangs, as the test decides.
#[derive(Clone, Default)]
struct Mount(Arc<(Mutex<bool>, Condvar)>);

impl Mount {
    fn hangs(&self, hangs: bool) {
        *self.0.0.lock().expect("the mount") = hangs;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let mut hangs = self.0.0.lock().expect("the mount");
        while *hangs {
            hangs = self.0.1.wait(hangs).expect("the mount");
        }
    }
}

/// A file of one line on such a mount; closing it hangs too.
struct Hanging {
    mount: Mount,
    closed: Arc<AtomicBool>,
}

impl Hanging {
    fn on(mount: &Mount) -> Box<Self> {
        Box::new(Self {
            mount: mount.clone(),
            closed: Arc::default(),
        })
    }
}

impl LogSource for Hanging {
    fn look(&mut self) -> Result<FileState, SourceError> {
        self.mount.pass();
        Ok(FileState {
            identity: (1, 1),
            size: 0,
            links: 1,
        })
    }

    fn open(&mut self) -> Result<FileState, SourceError> {
        self.look()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        self.mount.pass();
        let rest = b"hung\n".get(offset as usize..).unwrap_or_default();
        buffer[..rest.len()].copy_from_slice(rest);
        Ok(rest.len())
    }

    fn close(&mut self) {}

    fn freshness(&self) -> Freshness {
        Freshness::Local
    }

    fn mount(&self) -> &str {
        "/dead"
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.mount.pass();
        self.closed.store(true, Ordering::SeqCst);
    }
}

async fn next(tail: &opencode_k8s::tail::Tail) -> Look {
    tokio::time::timeout(TEST_LIMIT, tail.next())
        .await
        .expect("a look in time")
}

#[tokio::test]
async fn a_file_that_hangs_is_parked_and_no_other_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hub, mount) = (Hub::default(), Mount::default());
    mount.hangs(true);
    let hung = hub
        .follow(Hanging::on(&mount), "/dead/log".to_owned(), options())
        .expect("a tail");
    let healthy: Vec<_> = (0..20)
        .map(|n| {
            hub.follow(
                file(folder.path(), &n.to_string(), "ok\n"),
                n.to_string(),
                options(),
            )
            .expect("a tail")
        })
        .collect();
    for tail in &healthy {
        assert_eq!(next(tail).await.text, "ok\n");
    }
    eventually("the hanging thread", || hub.stuck_threads() == 1);
    mount.hangs(false);
    assert_eq!(next(&hung).await.text, "hung\n");
    eventually("the thread", || hub.stuck_threads() == 0);
}

#[tokio::test]
async fn at_most_16_threads_hang_and_the_other_files_of_the_mount_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hub, mount) = (Hub::default(), Mount::default());
    mount.hangs(true);
    let hung: Vec<_> = (0..40)
        .map(|_| {
            hub.follow(Hanging::on(&mount), "/dead/log".to_owned(), options())
                .expect("a tail")
        })
        .collect();
    eventually("16 hanging threads", || hub.stuck_threads() == 16);
    let healthy = hub
        .follow(file(folder.path(), "log", "ok\n"), "log".to_owned(), options())
        .expect("a tail");
    assert_eq!(next(&healthy).await.text, "ok\n");
    mount.hangs(false);
    for tail in &hung {
        assert_eq!(next(tail).await.text, "hung\n");
    }
    eventually("the threads", || hub.stuck_threads() == 0);
}

#[tokio::test]
async fn a_run_whose_volume_is_dead_ends_in_a_named_state() {
    let (hub, mount) = (Hub::default(), Mount::default());
    let tail = hub
        .follow(Hanging::on(&mount), "/dead/log".to_owned(), options())
        .expect("a tail");
    assert_eq!(next(&tail).await.text, "hung\n");
    mount.hangs(true);
    eventually("a hanging thread", || hub.stuck_threads() == 1);
    tail.end(FinishRule::Prove {
        bytes: 99,
        sha256: None,
        limit: Some(Duration::from_millis(1)),
    });
    let mut notices = Vec::new();
    let end = loop {
        let look = next(&tail).await;
        notices.extend(look.notices);
        if let Some(end) = look.end {
            break end;
        }
    };
    assert_eq!(end, Proof::Incomplete { have: 5, want: 99 });
    assert_eq!(
        notices.last().map(String::as_str),
        Some("the volume at /dead does not answer; the end of the log was not read")
    );
    mount.hangs(false);
}

#[tokio::test]
async fn dropping_a_tail_never_waits_for_its_file_to_close() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hub, mount) = (Hub::default(), Mount::default());
    let source = Hanging::on(&mount);
    let closed = source.closed.clone();
    let tail = hub
        .follow(source, "/dead/log".to_owned(), options())
        .expect("a tail");
    assert_eq!(next(&tail).await.text, "hung\n");
    mount.hangs(true);
    let dropped = std::thread::spawn(move || drop(tail));
    eventually("the end of the drop", || dropped.is_finished());
    let healthy = hub
        .follow(file(folder.path(), "log", "ok\n"), "log".to_owned(), options())
        .expect("a tail");
    assert_eq!(next(&healthy).await.text, "ok\n");
    assert!(!closed.load(Ordering::SeqCst));
    mount.hangs(false);
    eventually("the close", || closed.load(Ordering::SeqCst));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ten_thousand_tails_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = Hub::default();
    for round in 0..100 {
        let tails: Vec<_> = (0..100)
            .map(|n| {
                hub.follow(
                    file(folder.path(), &n.to_string(), "one\ntwo"),
                    n.to_string(),
                    options(),
                )
                .expect("a tail")
            })
            .collect();
        for (n, tail) in tails.iter().enumerate() {
            if round % 3 == n % 3 {
                continue; // dropped without a word
            }
            assert_eq!(next(tail).await.text, "one\n");
            tail.end(FinishRule::Drain);
            let look = next(tail).await;
            assert_eq!((look.text.as_str(), look.end), ("two\n", Some(Proof::Unproven)));
        }
    }
    eventually("the closes", || open_files(folder.path()) == 0);
    assert_eq!(hub.tails(), 0);
}

#[test]
fn tails_that_come_and_go_leave_no_thread_counted_as_hanging() {
    let hub = Hub::default();
    let mount = Mount::default();
    // Threads that are just starting come to their turn in any order on a busy machine.
    let busy = Arc::new(AtomicBool::new(true));
    for _ in 0..8 {
        let busy = busy.clone();
        std::thread::spawn(move || while busy.load(Ordering::Relaxed) {});
    }
    for _ in 0..40 {
        let tail = hub
            .follow(Hanging::on(&mount), "/shown".to_owned(), TailOptions::default())
            .expect("threads");
        tail.end(FinishRule::Drain);
        drop(tail);
        // Longer than a call may take before another thread goes on.
        std::thread::sleep(Duration::from_millis(45));
    }
    busy.store(false, Ordering::Relaxed);
    eventually("no hanging thread", || hub.stuck_threads() == 0);
}
