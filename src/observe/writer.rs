//! Writes lines on a thread of its own: whoever reads the server's stderr may stop doing so, and a full pipe must hold
//! up neither a run nor the host. Lines that find no room are dropped, and counted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::metrics;

/// Lines that may wait.
const WAITING_LINES: usize = 1_024;
/// How long a pipe that takes nothing is waited for, with one line.
const FULL_PIPE_LIMIT: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// How often one line may be tried: a file that takes a byte at a time is not worth more.
const MAX_WRITES: usize = 64;

/// Takes lines; never waits.
pub(super) struct LineWriter {
    lines: SyncSender<String>,
    dropped: Arc<AtomicU64>,
}

impl LineWriter {
    /// A writer to this file.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(to: impl AsFd + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_LINES);
        let dropped = Arc::<AtomicU64>::default();
        let counted = dropped.clone();
        std::thread::Builder::new()
            .name("opencode-log".to_owned())
            .spawn(move || write_all(&receiver, &to, &counted))?;
        Ok(Self {
            lines: sender,
            dropped,
        })
    }

    /// Takes a line that ends with a newline, or drops it.
    pub(super) fn write(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            drop_one(&self.dropped);
        }
    }
}

fn drop_one(dropped: &AtomicU64) {
    dropped.fetch_add(1, Ordering::Relaxed);
    metrics::note(|metrics| metrics.log_lines_dropped(1));
}

fn write_all(lines: &Receiver<String>, to: &impl AsFd, dropped: &AtomicU64) {
    for line in lines {
        if write(to.as_fd(), line.as_bytes()).is_err() {
            drop_one(dropped);
            continue;
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let note = format!(
                "{{\"level\":\"warn\",\"name\":\"paperclip-adapter-opencode-k8s\",\"msg\":\"lines of this log were \
                 dropped: stderr was full\",\"lines\":{missing}}}\n"
            );
            if write(to.as_fd(), note.as_bytes()).is_err() {
                dropped.fetch_add(missing, Ordering::Relaxed);
            }
        }
    }
}

/// Writes one line. Not by std's stderr: a thread that hangs there would hold its lock, and every panic message waits
/// for that.
fn write(to: BorrowedFd<'_>, line: &[u8]) -> Result<(), Errno> {
    let mut rest = line;
    for _ in 0..MAX_WRITES {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // The host has made the pipe one that does not wait.
            Err(Errno::AGAIN) => {
                let mut waits = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                if poll(&mut waits, Some(&FULL_PIPE_LIMIT)) == Ok(0) {
                    return Err(Errno::AGAIN);
                }
            }
            Err(error) => return Err(error),
        }
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn nobody_waits_for_a_pipe_that_is_full() {
        let (mut reader, pipe) = io::pipe().expect("a pipe");
        let writer = LineWriter::start(pipe).expect("a thread");
        let line = format!("{}\n", "x".repeat(1_000));
        let lines = 4 * WAITING_LINES;
        for _ in 0..lines {
            writer.write(line.clone());
        }
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        let whole = text.lines().filter(|got| *got == line.trim_end()).count();
        let told: u64 = text
            .lines()
            .filter_map(|line| {
                line.split_once("\"lines\":")?
                    .1
                    .strip_suffix('}')?
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        assert!(told > 0, "a pipe holds 64 KiB");
        assert_eq!(whole as u64 + told, lines as u64, "what is missing is told");
    }
}
