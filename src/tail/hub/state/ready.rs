//! What was found and waits for its consumer: how much of it, and when the file is looked at again.

use std::sync::Weak;
use std::time::Duration;

use super::State;
use crate::tail::follower::{CHUNK, Look};
use crate::tail::hub::consumer::{Consumer, Members, Posted, TailId};

/// Looks that one tail may have waiting for its consumer, while there is more to read in its file at once: so neither
/// side waits for the other to wake up.
const MAX_READY_LOOKS: usize = 8;
/// With so many the consumer is told, although more files are due: it takes them while the file is read on.
const MANY_READY_LOOKS: usize = MAX_READY_LOOKS / 2;
/// Bytes of text that wait, of all tails: with so many, each tail has one look waiting and no more.
const MAX_READY_BYTES: usize = 8 << 20;

impl State {
    /// Keeps what was found for the consumer. The file is not looked at again before it was taken, or only while there
    /// is room for more: that is the back-pressure.
    pub(super) fn offer(&mut self, id: TailId, look: Look) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let was_notified = !entry.ready.is_empty();
        match entry.ready.back_mut() {
            Some(last) if last.end.is_some() || last.text.len() + look.text.len() <= CHUNK => {
                let before = last.bytes();
                last.add(look);
                self.ready_bytes += last.bytes().saturating_sub(before);
            }
            _ => {
                self.ready_bytes += look.bytes();
                entry.ready.push_back(look);
            }
        }
        self.is_pressing |= entry.ready.len() == MANY_READY_LOOKS;
        if was_notified {
            return;
        }
        match &entry.consumer {
            Consumer::Task(notify) => self.posted.push(Posted::Task(notify.clone())),
            Consumer::Group(_) if entry.with_consumer => {}
            Consumer::Group(members) => {
                let members = members.clone();
                self.post(id, members);
            }
        }
    }

    /// Whether the file has more to read at once, and there is room for it.
    pub(super) fn may_read_ahead(&self, id: TailId) -> bool {
        self.entries.get(&id).is_some_and(|entry| {
            let is_far_ahead = |last: &Look| last.end.is_none() && last.again_in.is_zero();
            entry.ready.back().is_some_and(is_far_ahead)
                && entry.ready.len() < MAX_READY_LOOKS
                && self.ready_bytes < MAX_READY_BYTES
        })
    }

    fn post(&mut self, id: TailId, members: Weak<Members>) {
        let Some(group) = members.upgrade() else { return };
        group.post(id);
        if !self.posted.iter().any(|known| known.is_of(&members)) {
            self.posted.push(Posted::Group(members));
        }
    }

    /// Consumers that got something since the last call.
    pub(in crate::tail::hub) fn take_posted(&mut self) -> Vec<Posted> {
        self.is_pressing = false;
        std::mem::take(&mut self.posted)
    }

    /// What was found, for the consumer; plans the next look.
    pub(in crate::tail::hub) fn take_ready(&mut self, id: TailId, now: Duration) -> Option<Look> {
        let entry = self.entries.get_mut(&id)?;
        let look = entry.ready.pop_front()?;
        self.ready_bytes = self.ready_bytes.saturating_sub(look.bytes());
        let grouped = matches!(entry.consumer, Consumer::Group(_));
        entry.with_consumer = grouped;
        // Once it had to wait, the file is read on when half of what waits was taken: one by one would wake its thread
        // for each.
        let (is_last, has_room) = (entry.ready.is_empty(), entry.ready.len() <= MANY_READY_LOOKS);
        let urgent = entry.finish_rule.is_some() || look.again_in.is_zero();
        let at = if urgent { now } else { entry.then.max(now) };
        let (is_here, is_over) = (entry.file.is_some(), look.end.is_some());
        if is_over && grouped {
            self.remove(id);
        } else if !is_over && is_here && (is_last || (has_room && self.may_read_ahead(id))) {
            self.schedule(id, at);
        }
        Some(look)
    }

    /// The group has delivered what it took of this tail.
    pub(in crate::tail::hub) fn taken(&mut self, id: TailId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.with_consumer = false;
        if !entry.ready.is_empty()
            && let Consumer::Group(members) = &entry.consumer
        {
            let members = members.clone();
            self.post(id, members);
        }
    }
}
