//! What the tests of the real hub share: files on a real disk, and a clock that nobody stops.

use std::fs;
use std::time::{Duration, Instant};

use opencode_k8s::tail::TailOptions;
use opencode_k8s::tail::source::{FileSource, VolumePath};

pub(crate) fn options() -> TailOptions {
    let ms = Duration::from_millis;
    TailOptions {
        poll: ms(5),
        idle_poll: ms(20),
        idle_polls: 5,
        appear: None,
        digest: true,
        nuls_pass: false,
        collect: false,
    }
}

/// A bound, not an expectation: a machine may be slow.
pub(crate) const TEST_LIMIT: Duration = Duration::from_secs(180);

/// The hub's threads live in real time.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TEST_LIMIT, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn file(folder: &std::path::Path, name: &str, content: &str) -> Box<FileSource> {
    fs::write(folder.join(name), content).expect("written");
    Box::new(FileSource::new(
        VolumePath::below(folder, &folder.join(name)).expect("a path"),
        true,
    ))
}

/// Open files below this folder: other tests of this process have theirs.
#[cfg(target_os = "linux")]
pub(crate) fn open_files(below: &std::path::Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").expect("the open files");
    links
        .flatten()
        .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(below)))
        .count()
}
