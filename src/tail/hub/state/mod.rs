//! Decides which file is looked at next, and keeps what was found until its consumer takes it. No clock and no thread:
//! the time is an argument.

mod ready;
mod stalled;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::consumer::{Consumer, Members, Posted, TailId, same};
use crate::tail::follower::{FinishRule, LogFollower, Look};

/// Most threads that may hang in calls.
pub(super) const MAX_STUCK: usize = 16;
/// How long a mount that does not answer may keep a run from its end, where the [`FinishRule`] sets no limit.
const HUNG_MOUNT_LIMIT: Duration = Duration::from_secs(65);

/// The least such limit: a short hang of the file system must not cost the end of a log.
const MIN_HUNG_MOUNT_LIMIT: Duration = Duration::from_secs(10);

struct TailEntry {
    /// `None` while a thread looks at the file.
    file: Option<Box<LogFollower>>,
    mount: Arc<str>,
    consumer: Consumer,
    /// What was found and not taken yet, in order.
    ready: VecDeque<Look>,
    /// The group has not delivered what it took last.
    with_consumer: bool,
    due: Option<Duration>,
    /// When to look next, once `ready` was taken.
    then: Duration,
    poll: Duration,
    finish_rule: Option<FinishRule>,
    /// When the tail ends although a thread still hangs in its file.
    give_up_at: Option<Duration>,
    offset: u64,
    /// Bytes of the file that were not read, as far as the last look tells.
    unread: u64,
    /// Since when the mount has not answered for this file.
    silent_since: Option<Duration>,
    has_told_silence: bool,
}

/// What the leading thread does next.
pub(super) enum LeaderTask {
    /// Looks at this file, on this mount.
    Look(TailId, Box<LogFollower>, Arc<str>),
    /// Looks at this file on a thread of its own: its mount has not answered a call.
    LookApart(TailId, Box<LogFollower>, Arc<str>),
    /// Closes this file.
    Close(Box<LogFollower>),
    /// Sleeps until this time.
    Sleep(Duration),
    /// Ends: no tail is left.
    Leave,
}

/// A call that the leader is in.
#[derive(Clone)]
pub(super) struct Busy {
    pub(super) since: Duration,
    pub(super) mount: Arc<str>,
    /// The tail that waits for it; none when a file is closed.
    pub(super) tail: Option<TailId>,
}

/// All tails of a hub.
#[derive(Default)]
pub(super) struct State {
    entries: HashMap<TailId, TailEntry>,
    due: BTreeSet<(Duration, TailId)>,
    next_id: TailId,
    /// Bytes of all `ready` texts.
    ready_bytes: usize,
    #[expect(clippy::vec_box, reason = "it moves from the entries, which hold it boxed")]
    closing: Vec<Box<LogFollower>>,
    /// Consumers that got something since the last flush.
    posted: Vec<Posted>,
    /// One of them has so much that it is to be told at once.
    pub(super) is_pressing: bool,
    /// Threads that hang, by mount.
    stuck: HashMap<Arc<str>, usize>,
    /// Mounts of which the server's log has said that they hang, and since when they do.
    told_hung: HashMap<Arc<str>, Duration>,
    /// Tails that wait for a thread to come back from their mount.
    waiting: Vec<TailId>,
    /// Grows with each change of the leader: a thread that sees another number than its own leads no longer.
    pub(super) term: u64,
    pub(super) running: bool,
    /// Since when the leader is in a call, and on what.
    pub(super) busy: Option<Busy>,
    /// When the leader wakes by itself; `None` while it is awake.
    pub(super) wakes_at: Option<Duration>,
    /// When the standby thread checks the leader next.
    pub(super) standby_at: Option<Duration>,
}

impl State {
    pub(super) fn add(
        &mut self,
        file: Box<LogFollower>,
        consumer: Consumer,
        poll: Duration,
        now: Duration,
    ) -> TailId {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let entry = TailEntry {
            mount: file.mount().into(),
            file: Some(file),
            consumer,
            ready: VecDeque::new(),
            with_consumer: false,
            due: None,
            then: now,
            poll,
            finish_rule: None,
            give_up_at: None,
            offset: 0,
            unread: 0,
            silent_since: None,
            has_told_silence: false,
        };
        self.entries.insert(id, entry);
        self.schedule(id, now);
        id
    }

    pub(super) fn tails(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that each tail has yet to give to its consumer, as far as the last looks tell.
    pub(super) fn lags(&self) -> impl Iterator<Item = u64> {
        let ready = |entry: &TailEntry| entry.ready.iter().map(|look| look.text.len() as u64).sum::<u64>();
        self.entries
            .values()
            .map(move |entry| entry.unread.saturating_add(ready(entry)))
    }

    /// Mounts on which a thread hangs.
    pub(super) fn hung_mounts(&self) -> usize {
        self.stuck.len()
    }

    pub(super) fn stuck(&self) -> usize {
        self.stuck.values().sum()
    }

    pub(super) fn is_due_before_wake(&self) -> bool {
        let Some(wakes_at) = self.wakes_at else {
            return false;
        };
        !self.closing.is_empty()
            || self.entries.is_empty()
            || self.due.first().is_some_and(|(at, _)| *at < wakes_at)
    }

    /// What the leader does next.
    pub(super) fn next_task(&mut self, now: Duration) -> LeaderTask {
        if let Some(file) = self.closing.pop() {
            return LeaderTask::Close(file);
        }
        while let Some(&(at, id)) = self.due.first() {
            if at > now {
                return LeaderTask::Sleep(at);
            }
            self.due.remove(&(at, id));
            if let Some(task) = self.take_due(id, now) {
                return task;
            }
        }
        if self.entries.is_empty() {
            LeaderTask::Leave
        } else {
            LeaderTask::Sleep(now + Duration::from_secs(3_600))
        }
    }

    fn take_due(&mut self, id: TailId, now: Duration) -> Option<LeaderTask> {
        let all_stuck = self.stuck() >= MAX_STUCK;
        self.tell_silence(id, now);
        let entry = self.entries.get_mut(&id)?;
        entry.due = None;
        let suspect = self.stuck.contains_key(&entry.mount);
        if entry.give_up_at.is_some_and(|at| now >= at) && (entry.file.is_none() || (suspect && all_stuck)) {
            self.give_up(id);
            return None;
        }
        if suspect && all_stuck {
            self.wait_for_mount(id, now);
            return None;
        }
        let Some(mut file) = entry.file.take() else {
            self.plan_while_silent(id);
            return None;
        };
        if let Some(rule) = entry.finish_rule.take() {
            file.end(rule, now);
        }
        let mount = entry.mount.clone();
        if let Some(at) = entry.give_up_at {
            // This look may hang as well: it gets the least limit, whenever it begins.
            let at = at.max(now + MIN_HUNG_MOUNT_LIMIT);
            entry.give_up_at = Some(at);
            self.schedule(id, at);
        }
        Some(if suspect {
            self.is_silent(id, now);
            LeaderTask::LookApart(id, file, mount)
        } else {
            LeaderTask::Look(id, file, mount)
        })
    }

    /// Takes back the file and what was found in it. Returns the file if its tail is gone.
    pub(super) fn put_back(
        &mut self,
        id: TailId,
        file: Box<LogFollower>,
        mut look: Look,
        now: Duration,
    ) -> Option<Box<LogFollower>> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Some(file);
        };
        (entry.offset, entry.unread) = (file.offset(), file.unread());
        entry.file = Some(file);
        if let Some(text) = entry.silence_is_over(now) {
            look.notices.insert(0, text);
        }
        entry.then = aligned(now, look.again_in, entry.poll);
        let at = if entry.finish_rule.is_some() {
            now
        } else {
            entry.then
        };
        if look.is_empty() {
            self.schedule(id, at);
        } else {
            self.unschedule(id);
            self.offer(id, look);
            if self.may_read_ahead(id) {
                self.schedule(id, now);
            }
        }
        None
    }

    pub(super) fn end(&mut self, id: TailId, rule: FinishRule, now: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let limit = rule.time_limit(HUNG_MOUNT_LIMIT).max(MIN_HUNG_MOUNT_LIMIT);
        entry.give_up_at = Some(now + limit);
        entry.then = now;
        let here = match &mut entry.file {
            Some(file) => {
                file.end(rule, now);
                true
            }
            None => {
                if entry
                    .finish_rule
                    .as_ref()
                    .is_none_or(|known| rule.outranks(known))
                {
                    entry.finish_rule = Some(rule);
                }
                false
            }
        };
        if !here {
            // A thread is in the file: this schedules the giving up.
            self.plan_while_silent(id);
        } else if entry.ready.is_empty() {
            self.schedule(id, now);
        }
    }

    /// The leader is to close this file.
    pub(super) fn close_later(&mut self, file: Box<LogFollower>) {
        self.closing.push(file);
    }

    pub(super) fn remove(&mut self, id: TailId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        let bytes: usize = entry.ready.iter().map(Look::bytes).sum();
        self.ready_bytes = self.ready_bytes.saturating_sub(bytes);
        if let Some(due) = entry.due {
            self.due.remove(&(due, id));
        }
        self.waiting.retain(|waiting| *waiting != id);
        self.closing.extend(entry.file);
    }

    pub(super) fn remove_group(&mut self, group: &Weak<Members>) {
        let of_group =
            |entry: &TailEntry| matches!(&entry.consumer, Consumer::Group(members) if same(members, group));
        let ids: Vec<TailId> = self
            .entries
            .iter()
            .filter(|(_, entry)| of_group(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.remove(id);
        }
        self.posted.retain(|known| !known.is_of(group));
    }

    fn schedule(&mut self, id: TailId, at: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(old) = entry.due.replace(at) {
            self.due.remove(&(old, id));
        }
        self.due.insert((at, id));
    }

    fn unschedule(&mut self, id: TailId) {
        let due = self.entries.get_mut(&id).and_then(|entry| entry.due.take());
        if let Some(due) = due {
            self.due.remove(&(due, id));
        }
    }
}

/// Polls of equal wait fall on the same instants, so that one wake-up serves them all.
fn aligned(now: Duration, wait: Duration, poll: Duration) -> Duration {
    let at = now + wait;
    if wait < poll || wait.is_zero() {
        return at;
    }
    let over = at.as_nanos() % wait.as_nanos();
    at.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}
