//! What a mount that does not answer does to its files.

use std::sync::Arc;
use std::time::Duration;

use super::{MAX_STUCK, State, TailId};
use crate::tail::followed::{Ending, Look, Proof};

/// Files wait for their mount this long before anybody is told.
pub(super) const TELL_AFTER: Duration = Duration::from_secs(1);

impl State {
    /// A thread hangs in a call on this mount.
    pub(in crate::tail::hub) fn hangs(&mut self, mount: &Arc<str>) {
        *self.stuck.entry(mount.clone()).or_default() += 1;
    }

    /// A thread that hung on this mount is back.
    pub(in crate::tail::hub) fn came_back(&mut self, mount: &Arc<str>, now: Duration) {
        if let Some(count) = self.stuck.get_mut(mount) {
            *count -= 1;
            if *count == 0 {
                self.stuck.remove(mount);
            }
        }
        for id in std::mem::take(&mut self.waiting) {
            self.schedule(id, now);
        }
    }

    /// All threads hang: files of this mount wait until one is back. Said only when it lasts: one slow answer sends
    /// the other files of its mount to threads of their own, and these are soon all taken.
    pub(super) fn wait_for_mount(&mut self, id: TailId, now: Duration) {
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let (mount, give_up_at) = (entry.mount.clone(), entry.give_up_at);
        let tell_at = *entry.waits_since.get_or_insert(now) + TELL_AFTER;
        let tells = now >= tell_at && !std::mem::replace(&mut entry.told_waiting, true);
        let tells_later = !entry.told_waiting;
        if tells {
            let text = format!(
                "the volume at {mount} does not answer ({MAX_STUCK} reads hang); the log waits for it"
            );
            self.offer(
                id,
                Look {
                    notices: vec![text],
                    ..Look::default()
                },
            );
        }
        let again_at = tells_later.then_some(tell_at).into_iter().chain(give_up_at).min();
        if let Some(at) = again_at {
            self.schedule(id, at);
        }
    }

    /// The run is over and the mount does not answer: the tail ends in a named state.
    pub(super) fn give_up(&mut self, id: TailId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let text = format!(
            "the volume at {} does not answer; the end of the log was not read",
            entry.mount
        );
        let end = match entry.ending.take() {
            Some(Ending::Prove { bytes, .. }) => Proof::Incomplete {
                have: entry.offset,
                want: bytes,
            },
            _ => Proof::Failed(text.clone()),
        };
        self.offer(
            id,
            Look {
                notices: vec![text],
                end: Some(end),
                ..Look::default()
            },
        );
    }
}
