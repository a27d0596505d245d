//! Pages of NULs: network volumes show them where bytes are still on their way, and JSON lines hold none. Pure.

use std::time::Duration;

/// While somebody waits for the end and nothing tells what the file holds, NULs that stay for more looks than this are
/// its content.
const LOOKS: u32 = 8;

/// What is known of the NULs in a file.
#[derive(Debug, Default)]
pub(super) struct NulPages {
    since: Option<Duration>,
    looks: u32,
    pass: bool,
    /// The end record says that they are the file's content.
    pub(super) are_content: bool,
    /// Somebody waits for the end, and there is no end record.
    pub(super) is_hurried: bool,
    /// Some were taken for content only because they stayed.
    pub(super) were_believed: bool,
}

impl NulPages {
    /// `pass`: nobody waits for the bytes that may come in their place.
    pub(super) fn new(pass: bool) -> Self {
        Self {
            pass,
            ..Self::default()
        }
    }

    /// The file is read from its start again.
    pub(super) fn restart(&mut self) {
        (self.since, self.looks, self.were_believed) = (None, 0, false);
    }

    /// How many of these bytes to take: up to the first NUL, while it may pass. `limit`: how long that may be.
    pub(super) fn before(&mut self, bytes: &[u8], now: Duration, limit: Duration) -> usize {
        let first = if self.pass || self.are_content {
            None
        } else {
            memchr::memchr(0, bytes)
        };
        let Some(first) = first else {
            self.since = None;
            return bytes.len();
        };
        if first == 0 {
            self.looks += 1;
        } else {
            self.looks = 0;
            self.since = None;
        }
        let since = *self.since.get_or_insert(now);
        let have_stayed = now.saturating_sub(since) >= limit;
        if have_stayed || (self.is_hurried && self.looks > LOOKS) {
            self.were_believed = true;
            return bytes.len();
        }
        first
    }
}

/// Whether these are NULs only: that is no growth, a file can hold terabytes of them.
pub(super) fn is_nothing_else(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0) && bytes.iter().all(|byte| *byte == 0)
}
