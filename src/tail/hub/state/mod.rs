//! Which file is looked at next, and what becomes of what was found. No clock and no thread: the time is an argument.

mod stalled;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::consumer::{Consumer, Members, TailId, same};
use crate::tail::followed::{Ending, Followed, Look};

/// Threads that may hang in calls at one time.
pub(super) const MAX_STUCK: usize = 16;
/// How long a file on a mount that does not answer may keep its run from ending, where the ending says nothing.
const PARKED_LIMIT: Duration = Duration::from_secs(65);

/// And at least: a hiccup of the file system must not cost the end of a log.
const PARKED_LEAST: Duration = Duration::from_secs(10);

struct Entry {
    /// `None` while a thread looks at it.
    file: Option<Box<Followed>>,
    mount: Arc<str>,
    consumer: Consumer,
    ready: Option<Look>,
    /// A group got something of it and is not done with it.
    with_consumer: bool,
    due: Option<Duration>,
    /// When to look after `ready` was taken.
    then: Duration,
    poll: Duration,
    ending: Option<Ending>,
    /// Ends it, should its file not come back from a thread.
    give_up_at: Option<Duration>,
    offset: u64,
    /// Since when it waits for its mount.
    waits_since: Option<Duration>,
    told_waiting: bool,
}

/// What the leader has to do now.
pub(super) enum Job {
    /// Look at this file, on this mount.
    Look(TailId, Box<Followed>, Arc<str>),
    /// Look at this file on a thread of its own: its mount has not answered another one.
    LookApart(TailId, Box<Followed>, Arc<str>),
    /// Close this file.
    Close(Box<Followed>),
    /// Nothing before this time.
    Sleep(Duration),
    /// No tail is left.
    Leave,
}

/// All tails of a hub.
#[derive(Default)]
pub(super) struct State {
    entries: HashMap<TailId, Entry>,
    due: BTreeSet<(Duration, TailId)>,
    next_id: TailId,
    #[expect(clippy::vec_box, reason = "it moves from the entries, which hold it boxed")]
    closing: Vec<Box<Followed>>,
    /// Groups that something was posted to since the last flush.
    posted: Vec<Weak<Members>>,
    /// Threads that hang, by mount.
    stuck: HashMap<Arc<str>, usize>,
    /// Tails whose mount has used up its threads.
    waiting: Vec<TailId>,
    /// Grows with each change of the leader; a thread that sees another number is no longer it.
    pub(super) term: u64,
    pub(super) running: bool,
    /// Since when the leader is in a call, and on which mount.
    pub(super) busy: Option<(Duration, Arc<str>)>,
    /// When the leader wakes by itself; `None` while it is awake.
    pub(super) wakes_at: Option<Duration>,
    /// When the thread that stands by looks after the leader.
    pub(super) standby_at: Option<Duration>,
}

impl State {
    pub(super) fn add(
        &mut self,
        file: Box<Followed>,
        consumer: Consumer,
        poll: Duration,
        now: Duration,
    ) -> TailId {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let entry = Entry {
            mount: file.mount().into(),
            file: Some(file),
            consumer,
            ready: None,
            with_consumer: false,
            due: None,
            then: now,
            poll,
            ending: None,
            give_up_at: None,
            offset: 0,
            waits_since: None,
            told_waiting: false,
        };
        self.entries.insert(id, entry);
        self.schedule(id, now);
        id
    }

    pub(super) fn tails(&self) -> usize {
        self.entries.len()
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

    /// What the leader does now.
    pub(super) fn next_job(&mut self, now: Duration) -> Job {
        if let Some(file) = self.closing.pop() {
            return Job::Close(file);
        }
        while let Some(&(at, id)) = self.due.first() {
            if at > now {
                return Job::Sleep(at);
            }
            self.due.remove(&(at, id));
            if let Some(job) = self.take_due(id, now) {
                return job;
            }
        }
        if self.entries.is_empty() {
            Job::Leave
        } else {
            Job::Sleep(now + Duration::from_secs(3_600))
        }
    }

    fn take_due(&mut self, id: TailId, now: Duration) -> Option<Job> {
        let all_stuck = self.stuck() >= MAX_STUCK;
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
        let mut file = entry.file.take()?;
        if let Some(ending) = entry.ending.take() {
            file.end(ending, now);
        }
        let mount = entry.mount.clone();
        if let Some(at) = entry.give_up_at {
            // This look may hang as well, and it has its time whenever it begins.
            let at = at.max(now + PARKED_LEAST);
            entry.give_up_at = Some(at);
            self.schedule(id, at);
        }
        Some(if suspect {
            Job::LookApart(id, file, mount)
        } else {
            Job::Look(id, file, mount)
        })
    }

    /// What a look has found. A file whose tail is gone by now is left to the caller.
    pub(super) fn put_back(
        &mut self,
        id: TailId,
        file: Box<Followed>,
        look: Look,
        now: Duration,
    ) -> Option<Box<Followed>> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Some(file);
        };
        entry.offset = file.offset();
        entry.file = Some(file);
        entry.waits_since = None;
        entry.told_waiting = false;
        entry.then = aligned(now, look.again_in, entry.poll);
        let at = if entry.ending.is_some() { now } else { entry.then };
        if look.is_empty() {
            self.schedule(id, at);
        } else {
            self.unschedule(id);
            self.offer(id, look);
        }
        None
    }

    /// Looks are not taken further before the consumer has this one: that is the back-pressure.
    fn offer(&mut self, id: TailId, look: Look) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        match &mut entry.ready {
            // The consumer knows that something waits.
            Some(ready) => return ready.add(look),
            ready => *ready = Some(look),
        }
        match &entry.consumer {
            Consumer::Waits(notify) => notify.notify_one(),
            Consumer::Group(_) if entry.with_consumer => {}
            Consumer::Group(members) => {
                let members = members.clone();
                self.post(id, members);
            }
        }
    }

    fn post(&mut self, id: TailId, members: Weak<Members>) {
        let Some(group) = members.upgrade() else { return };
        group.post(id);
        if !self.posted.iter().any(|known| same(known, &members)) {
            self.posted.push(members);
        }
    }

    /// Groups with something to flush.
    pub(super) fn take_posted(&mut self) -> Vec<Weak<Members>> {
        std::mem::take(&mut self.posted)
    }

    /// Gives what was found to the consumer and plans the next look.
    pub(super) fn take_ready(&mut self, id: TailId, now: Duration) -> Option<Look> {
        let entry = self.entries.get_mut(&id)?;
        let look = entry.ready.take()?;
        let grouped = matches!(entry.consumer, Consumer::Group(_));
        entry.with_consumer = grouped;
        if look.end.is_none() {
            let urgent = entry.ending.is_some() || look.again_in.is_zero();
            let at = if urgent { now } else { entry.then.max(now) };
            if entry.file.is_some() {
                self.schedule(id, at);
            }
        } else if grouped {
            self.remove(id);
        }
        Some(look)
    }

    /// A group is done with what it got of this tail.
    pub(super) fn taken(&mut self, id: TailId) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.with_consumer = false;
        if entry.ready.is_some()
            && let Consumer::Group(members) = &entry.consumer
        {
            let members = members.clone();
            self.post(id, members);
        }
    }

    pub(super) fn end(&mut self, id: TailId, ending: Ending, now: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let limit = ending.patience(PARKED_LIMIT).max(PARKED_LEAST);
        entry.give_up_at = Some(now + limit);
        entry.then = now;
        let here = match &mut entry.file {
            Some(file) => {
                file.end(ending, now);
                true
            }
            None => {
                if entry.ending.as_ref().is_none_or(|known| ending.outranks(known)) {
                    entry.ending = Some(ending);
                }
                false
            }
        };
        if !here {
            // It comes back by itself, or never.
            self.schedule(id, now + limit);
        } else if entry.ready.is_none() {
            self.schedule(id, now);
        }
    }

    /// The leader closes this file.
    pub(super) fn close_later(&mut self, file: Box<Followed>) {
        self.closing.push(file);
    }

    pub(super) fn remove(&mut self, id: TailId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        if let Some(due) = entry.due {
            self.due.remove(&(due, id));
        }
        self.waiting.retain(|waiting| *waiting != id);
        self.closing.extend(entry.file);
    }

    pub(super) fn remove_group(&mut self, group: &Weak<Members>) {
        let of_group =
            |entry: &Entry| matches!(&entry.consumer, Consumer::Group(members) if same(members, group));
        let ids: Vec<TailId> = self
            .entries
            .iter()
            .filter(|(_, entry)| of_group(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.remove(id);
        }
        self.posted.retain(|known| !same(known, group));
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
