//! Files on a mount that does not answer: how they wait, and when they are given up.

use std::sync::Arc;
use std::time::Duration;

use super::{State, TailEntry, TailId};
use crate::tail::follower::{FinishRule, Look, Proof};

/// How long a mount does not answer before the consumer gets a notice about it.
pub(super) const TELL_SILENCE_AFTER: Duration = Duration::from_secs(10);

impl TailEntry {
    /// The mount has answered. The notice about it, where its silence was told.
    pub(super) fn silence_is_over(&mut self, now: Duration) -> Option<String> {
        let since = self.silent_since.take()?;
        let was_told = std::mem::take(&mut self.has_told_silence);
        was_told.then(|| {
            let silent_for = now.saturating_sub(since).as_secs();
            format!("the volume at {} answers again, after {silent_for} s", self.mount)
        })
    }
}

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
                if let Some(since) = self.told_hung.remove(mount) {
                    let seconds = now.saturating_sub(since).as_secs();
                    tracing::warn!(%mount, seconds, "the volume answers again");
                }
            }
        }
        for id in std::mem::take(&mut self.waiting) {
            self.schedule(id, now);
        }
    }

    /// All threads hang: the file waits until one is back.
    pub(super) fn wait_for_mount(&mut self, id: TailId, now: Duration) {
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
        self.is_silent(id, now);
    }

    /// The mount does not answer for this file. That is told when it lasts: one slow answer takes all threads for a
    /// moment.
    pub(in crate::tail::hub) fn is_silent(&mut self, id: TailId, since: Duration) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.silent_since.get_or_insert(since);
            self.plan_while_silent(id);
        }
    }

    /// The next thing to do for a file whose mount does not answer: to tell it, or to give up.
    pub(super) fn plan_while_silent(&mut self, id: TailId) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let told_at = entry.silent_since.map(|since| since + TELL_SILENCE_AFTER);
        let told_at = told_at.filter(|_| !entry.has_told_silence);
        if let Some(at) = told_at.into_iter().chain(entry.give_up_at).min() {
            self.schedule(id, at);
        }
    }

    pub(super) fn tell_silence(&mut self, id: TailId, now: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let silent_for = entry.silent_since.map(|since| now.saturating_sub(since));
        let Some(silent_for) =
            silent_for.filter(|time| *time >= TELL_SILENCE_AFTER && !entry.has_told_silence)
        else {
            return;
        };
        entry.has_told_silence = true;
        // Once for all files of a mount.
        if self.stuck.contains_key(&entry.mount)
            && self
                .told_hung
                .insert(entry.mount.clone(), now.saturating_sub(silent_for))
                .is_none()
        {
            tracing::warn!(mount = %entry.mount, seconds = silent_for.as_secs(), "the volume does not answer");
        }
        let text = format!(
            "the volume at {} has not answered for {} s; the log waits for it",
            entry.mount,
            silent_for.as_secs()
        );
        self.offer(
            id,
            Look {
                notices: vec![text],
                ..Look::default()
            },
        );
    }

    /// The run is over and the mount does not answer: the tail ends, and says why.
    pub(super) fn give_up(&mut self, id: TailId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        // That it answers again is of no use any more.
        (entry.silent_since, entry.has_told_silence) = (None, false);
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
