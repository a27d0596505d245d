//! Writes the metrics to a file, for node_exporter's textfile collector: each time a whole new file by rename, so that
//! nobody reads half of one.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::Render;

/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(15);

/// Writes for ever. That it fails is said once, until it works again.
pub(super) async fn write_on(path: PathBuf, render: Render) {
    let mut has_failed = false;
    loop {
        match write(&path, &render()) {
            Ok(()) => has_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    tracing::warn!(%error, file = %path.display(), "the file of the metrics cannot be written");
                }
            }
        }
        sleep(INTERVAL).await;
    }
}

/// The file beside the path which becomes it. Of this process alone, and none that a collector reads.
fn draft_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    name.into()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file that the server's environment names, not one of the shared volume"
)]
fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = draft_of(path);
    // Left by a process of this number that died over it.
    let _ = std::fs::remove_file(&draft);
    let written = std::fs::File::create_new(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_always_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("adapter.prom");
        std::fs::write(draft_of(&path), "left over").expect("written");
        write(&path, "a 1\n").expect("written");
        let mut opened = std::fs::File::open(&path).expect("there");
        write(&path, "a 2\n").expect("written");
        let mut text = String::new();
        io::Read::read_to_string(&mut opened, &mut text).expect("text");
        assert_eq!(text, "a 1\n", "whoever reads it has the old one to its end");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "a 2\n");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "and nothing else");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("taken");
        std::fs::create_dir(&path).expect("a folder");
        std::fs::write(path.join("x"), "").expect("a file");
        assert!(write(&path, "a 1\n").is_err());
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1);
        assert!(write(&folder.path().join("no/such/folder"), "").is_err());
    }
}
