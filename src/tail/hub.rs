//! One hub per process polls the files of all tails: one thread that does the syscalls of every file, and one that
//! stands by to take over when a call hangs on a dead mount. The threads live while there are tails.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::cadence::Pace;
use super::followed::{CHUNK, Ending, Followed, Look};
use super::source::LogSource;

/// A call that takes longer is left alone with its file; another thread goes on with the others.
const STUCK_AFTER: Duration = Duration::from_millis(50);
/// Threads that may hang in a call at one time.
const MAX_STUCK: usize = 16;

/// The poller of all followed files.
#[derive(Clone, Default)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    leader: Condvar,
    standby: Condvar,
}

#[derive(Default)]
struct State {
    entries: HashMap<u64, Entry>,
    due: BTreeSet<(Duration, u64)>,
    next_id: u64,
    /// Grows with each change of the leader; a thread that sees another number is no longer it.
    term: u64,
    running: bool,
    busy_since: Option<Duration>,
    stuck: usize,
}

struct Entry {
    /// `None` while a thread looks at it.
    file: Option<Box<Followed>>,
    ready: Option<Look>,
    notify: Arc<Notify>,
    due: Option<Duration>,
    grid: Duration,
    ending: Option<Ending>,
}

impl State {
    fn schedule(&mut self, id: u64, at: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let Some(old) = entry.due.replace(at) {
            self.due.remove(&(old, id));
        }
        self.due.insert((at, id));
    }

    fn take_due(&mut self, now: Duration) -> Option<(u64, Box<Followed>)> {
        let &(at, id) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.remove(&(at, id));
        let entry = self.entries.get_mut(&id)?;
        entry.due = None;
        let mut file = entry.file.take()?;
        if let Some(ending) = entry.ending.take() {
            file.end(ending, now);
        }
        Some((id, file))
    }

    fn put_back(&mut self, id: u64, file: Box<Followed>, look: Look, now: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.file = Some(file);
        let next = aligned(now, look.again_in, entry.grid);
        let urgent = entry.ending.is_some();
        if !look.text.is_empty() || !look.notices.is_empty() || look.end.is_some() {
            entry.due = Some(next);
            entry.ready = Some(look);
            entry.notify.notify_one();
            // Not scheduled: it is looked at again when the consumer has taken this.
        } else {
            self.schedule(id, if urgent { now } else { next });
        }
    }
}

/// Polls of equal pace fall on the same instants, so that one wake-up serves them all.
fn aligned(now: Duration, wait: Duration, grid: Duration) -> Duration {
    let at = now + wait;
    if wait < grid || grid.is_zero() {
        return at;
    }
    let cells = at.as_nanos() / grid.as_nanos();
    u32::try_from(cells).map_or(at, |cells| grid * cells).max(now)
}

impl Hub {
    /// Starts to follow a file. The handle gives its lines; dropping it ends the tail.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn follow(&self, source: Box<dyn LogSource>, shown: String, pace: Pace) -> std::io::Result<Tail> {
        let now = now();
        let notify = Arc::new(Notify::new());
        let file = Box::new(Followed::new(source, shown, pace, now));
        let mut state = self.shared.lock();
        let id = state.next_id;
        state.next_id += 1;
        let entry = Entry {
            file: Some(file),
            ready: None,
            notify: notify.clone(),
            due: None,
            grid: pace.poll,
            ending: None,
        };
        state.entries.insert(id, entry);
        state.schedule(id, now);
        if !state.running {
            let started = self.shared.clone().start(&mut state);
            if let Err(error) = started {
                state.entries.remove(&id);
                return Err(error);
            }
        }
        drop(state);
        self.shared.leader.notify_all();
        Ok(Tail {
            shared: self.shared.clone(),
            id,
            notify,
        })
    }

    /// Tails that are followed now.
    #[must_use]
    pub fn tails(&self) -> usize {
        self.shared.lock().entries.len()
    }
}

/// One followed file: gives what each look found.
pub struct Tail {
    shared: Arc<Shared>,
    id: u64,
    notify: Arc<Notify>,
}

impl Tail {
    /// The next lines, notices or the end. The file is not read further before this is called again: that is the
    /// back-pressure. Cancel safe.
    pub async fn next(&self) -> Look {
        loop {
            let notified = self.notify.notified();
            if let Some(look) = self.take() {
                return look;
            }
            notified.await;
        }
    }

    fn take(&self) -> Option<Look> {
        let mut state = self.shared.lock();
        let entry = state.entries.get_mut(&self.id)?;
        let look = entry.ready.take()?;
        let urgent = entry.ending.is_some() || look.again_in.is_zero();
        let due = entry.due.take().unwrap_or_default();
        if look.end.is_none() {
            let now = now();
            state.schedule(self.id, if urgent { now } else { due.max(now) });
            drop(state);
            self.shared.leader.notify_all();
        }
        Some(look)
    }

    /// Tells the tail that its run is over, and how to finish.
    pub fn end(&self, ending: Ending) {
        let mut state = self.shared.lock();
        let now = now();
        let Some(entry) = state.entries.get_mut(&self.id) else {
            return;
        };
        let looking = entry.file.is_none();
        let waiting = entry.ready.is_some();
        match &mut entry.file {
            Some(file) => file.end(ending, now),
            None => entry.ending = Some(ending),
        }
        if !looking && !waiting {
            state.schedule(self.id, now);
        }
        drop(state);
        self.shared.leader.notify_all();
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let entry = state.entries.remove(&self.id);
        if let Some(due) = entry.as_ref().and_then(|entry| entry.due) {
            state.due.remove(&(due, self.id));
        }
        drop(state);
        self.shared.leader.notify_all();
        // Closing a file can block on a dead mount: not under the lock.
        drop(entry);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(self: Arc<Self>, state: &mut State) -> std::io::Result<()> {
        state.running = true;
        state.term += 1;
        let term = state.term;
        let (leader, standby) = (self.clone(), self);
        let spawned = spawn("opencode-tail", move || leader.lead(term))
            .and_then(|()| spawn("opencode-tail-standby", move || standby.stand_by(term)));
        if spawned.is_err() {
            state.running = false;
            state.term += 1;
        }
        spawned
    }

    /// The loop of the thread that looks at the files.
    fn lead(&self, term: u64) {
        let mut buffer = vec![0; CHUNK];
        let mut state = self.lock();
        while state.term == term {
            if state.entries.is_empty() {
                state.running = false;
                state.term += 1;
                self.standby.notify_all();
                return;
            }
            let now = now();
            let Some((id, mut file)) = state.take_due(now) else {
                state.busy_since = None;
                let wait = state
                    .due
                    .first()
                    .map_or(Duration::from_secs(3_600), |(at, _)| at.saturating_sub(now));
                state = self
                    .leader
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            };
            if state.busy_since.replace(now).is_none() {
                self.standby.notify_all();
            }
            drop(state);
            let look = file.look(now, &mut buffer);
            state = self.lock();
            state.put_back(id, file, look, self::now());
            if state.term != term {
                state.stuck -= 1;
            }
        }
    }

    /// The loop of the thread that takes over when the leader hangs in a call.
    fn stand_by(self: Arc<Self>, term: u64) {
        let mut state = self.lock();
        while state.term == term {
            let Some(since) = state.busy_since else {
                state = self.standby.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let busy = now().saturating_sub(since);
            if busy < STUCK_AFTER {
                let rest = STUCK_AFTER - busy;
                state = self
                    .standby
                    .wait_timeout(state, rest)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            if state.stuck >= MAX_STUCK {
                state = self
                    .standby
                    .wait_timeout(state, STUCK_AFTER)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            }
            state.stuck += 1;
            state.term += 1;
            state.busy_since = None;
            let term = state.term;
            let next = self.clone();
            let _ = spawn("opencode-tail-standby", move || next.stand_by(term));
            drop(state);
            return self.lead(term);
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
}

/// Time since the first use of the hub: the one place where the tail reads a clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the tail: a thread has no stoppable clock"
)]
fn now() -> Duration {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed()
}
