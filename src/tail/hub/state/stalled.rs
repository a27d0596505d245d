//! Files on a mount that does not answer: how they wait, and when they are given up.

use std::sync::Arc;
use std::time::Duration;

use super::{MAX_STUCK, State, TailId};
use crate::tail::follower::{FinishRule, Look, Proof};

/// How long a file waits for its mount before the consumer gets a notice about it.
pub(super) const REPORT_WAIT_AFTER: Duration = Duration::from_secs(1);

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

    /// All threads hang: the file waits until one is back. The notice comes only when that lasts: after one slow answer
    /// the other files of the mount get threads of their own, and all threads are taken for a moment.
    pub(super) fn wait_for_mount(&mut self, id: TailId, now: Duration) {
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let (mount, give_up_at) = (entry.mount.clone(), entry.give_up_at);
        let report_at = *entry.waits_since.get_or_insert(now) + REPORT_WAIT_AFTER;
        let reports_now = now >= report_at && !std::mem::replace(&mut entry.has_reported_wait, true);
        let reports_later = !entry.has_reported_wait;
        if reports_now {
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
        let again_at = reports_later
            .then_some(report_at)
            .into_iter()
            .chain(give_up_at)
            .min();
        if let Some(at) = again_at {
            self.schedule(id, at);
        }
    }

    /// The run is over and the mount does not answer: the tail ends, and says why.
    pub(super) fn give_up(&mut self, id: TailId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let text = format!(
            "the volume at {} does not answer; the end of the log was not read",
            entry.mount
        );
        let end = match entry.finish_rule.take() {
            Some(FinishRule::Prove { bytes, .. }) => Proof::Incomplete {
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
