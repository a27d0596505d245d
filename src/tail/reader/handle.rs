//! Which handle is read: when the path is looked up and opened again, and what becomes of a file that lost its name.

use std::time::Duration;

use super::{ReadOutcome, Reader};
use crate::tail::follower::read_error_notice;
use crate::tail::source::{Freshness, SourceError};

/// How often the path of a local file is looked up: a read of it shows all that was written, and a look-up at each
/// poll would double what an idle file costs.
const LOCAL_LOOKUP_INTERVAL: Duration = Duration::from_secs(2);
impl Reader {
    /// Another file has the path's name, and the old one shows no more. It is left when that has been so for long
    /// enough; at once where nothing was read of it, or where somebody waits for the end.
    pub(super) fn leave_old_file(&mut self, now: Duration) -> ReadOutcome {
        let is_believed = self.doubt.grows(now, self.doubt_limit());
        if !(is_believed || self.thorough || self.offset == 0) {
            return ReadOutcome::Doubtful;
        }
        match self.open(now) {
            Ok(()) => {
                self.skips_lookup = true;
                ReadOutcome::Checking
            }
            Err(error) => {
                self.notices.push((error.to_string(), read_error_notice(&error)));
                ReadOutcome::Doubtful
            }
        }
    }

    pub(super) fn doubt_limit(&self) -> Duration {
        self.source.freshness().doubt_limit()
    }

    /// Whether a read shows all that was written, so that the path need not be looked up each time.
    pub(super) fn trusts_reads(&self) -> bool {
        self.source.freshness() == Freshness::Local && !self.thorough
    }

    /// Whether the open handle is good enough without looking the path up.
    pub(super) fn handle_is_fresh(&self, now: Duration) -> bool {
        let since = |at: Duration| now.saturating_sub(at);
        self.open_file.is_some()
            && self.trusts_reads()
            && !self.stale
            && since(self.looked_up_at) < LOCAL_LOOKUP_INTERVAL
            && since(self.opened_at) < self.source.freshness().handle_lifetime()
    }

    /// Opens the path if there is no handle or the handle is old. A file that was read stays open while its path names
    /// another one.
    pub(super) fn open_if_needed(&mut self, now: Duration) -> Result<(), SourceError> {
        if self.handle_is_fresh(now) {
            return Ok(());
        }
        self.looked_up_at = now;
        let there = self.source.look();
        let Some(open_file) = self.open_file else {
            there?;
            return self.open(now);
        };
        match there {
            Ok(found) if found.identity != open_file && !self.is_unread() => self.is_moved = true,
            Ok(found) => {
                self.is_moved = false;
                self.size = found.size;
                if found.links > 1 {
                    self.notices.push((
                        "link".to_owned(),
                        "the log file has a second hard link".to_owned(),
                    ));
                }
                let age = now.saturating_sub(self.opened_at);
                let is_old = self.stale || age >= self.source.freshness().handle_lifetime();
                if is_old || found.identity != open_file {
                    self.open(now)?;
                }
            }
            // The handle still reads what the writer appends; after another error it must be opened anew.
            Err(error @ (SourceError::Missing | SourceError::Hostile(_))) => {
                self.is_moved = false;
                self.size = self.source.open_file_size().unwrap_or(self.size);
                self.notices.push((error.to_string(), read_error_notice(&error)));
            }
            Err(error) => {
                self.open_file = None;
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn open(&mut self, now: Duration) -> Result<(), SourceError> {
        let before = self.open_file;
        let found = self.source.open()?;
        if before.is_some_and(|before| before != found.identity) && !self.is_unread() {
            self.replaced_at.get_or_insert(self.offset);
        }
        self.open_file = Some(found.identity);
        self.size = found.size;
        self.opened_at = now;
        self.stale = false;
        self.is_moved = false;
        Ok(())
    }

    /// Whether the open file is another one than the one that was read so far.
    pub(super) fn is_unread(&self) -> bool {
        self.open_file.is_some() && self.open_file != self.read_file
    }
}
