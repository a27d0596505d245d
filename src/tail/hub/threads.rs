//! The threads of the hub.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Shared;
use super::consumer::TailId;
use super::state::{Busy, LeaderTask, State};
use crate::tail::follower::{CHUNK, LogFollower, Look};

/// A call that takes longer keeps its thread and its file; another thread goes on with the other files, which must not
/// be late by more than 50 ms.
const STUCK_AFTER: Duration = Duration::from_millis(40);
/// What was found is delivered after this time at the latest, although more files are due.
const FLUSH_AFTER: Duration = Duration::from_millis(5);

impl Shared {
    pub(super) fn ensure_threads(self: Arc<Self>, state: &mut State) -> std::io::Result<()> {
        if state.running {
            return Ok(());
        }
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
    fn lead(self: &Arc<Self>, term: u64) {
        let mut buffer = vec![0; CHUNK];
        let mut flushed = self.now();
        let mut state = self.lock();
        while state.term == term {
            let now = self.now();
            let task = state.next_task(now);
            let idle = matches!(task, LeaderTask::Sleep(_) | LeaderTask::Leave);
            if idle || state.is_pressing || now.saturating_sub(flushed) >= FLUSH_AFTER {
                flushed = now;
                let posted = state.take_posted();
                if !posted.is_empty() {
                    state.busy = None;
                    drop(state);
                    self.flush(posted);
                    state = self.lock();
                    if idle {
                        continue;
                    }
                }
            }
            state = match task {
                LeaderTask::Look(id, file, mount) => {
                    self.enter(&mut state, mount.clone(), Some(id), now);
                    self.look(state, id, file, &mount, term, &mut buffer)
                }
                LeaderTask::LookApart(id, file, mount) => {
                    self.send_apart(&mut state, id, file, mount, now);
                    state
                }
                LeaderTask::Close(file) => self.close_later(state, file, term, now),
                LeaderTask::Sleep(until) => self.sleep(state, until.saturating_sub(now), until),
                LeaderTask::Leave => {
                    state.running = false;
                    state.term += 1;
                    // The threads of the next tails must not take this one for a leader that hangs in a call.
                    state.busy = None;
                    self.standby.notify_all();
                    return;
                }
            };
        }
    }

    fn sleep<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        wait: Duration,
        until: Duration,
    ) -> MutexGuard<'a, State> {
        state.busy = None;
        state.wakes_at = Some(until);
        let mut state = self
            .leader
            .wait_timeout(state, wait)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        state.wakes_at = None;
        state
    }

    fn look<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        id: TailId,
        mut file: Box<LogFollower>,
        mount: &Arc<str>,
        term: u64,
        buffer: &mut [u8],
    ) -> MutexGuard<'a, State> {
        drop(state);
        let look = file.look(self.now(), buffer);
        let mut state = self.lock();
        let now = self.now();
        let left = state.put_back(id, file, look, now);
        if state.term != term {
            state.came_back(mount, now);
            self.leader.notify_all();
        }
        let Some(file) = left else { return state };
        if state.term == term {
            // Closing it can hang as well, and must be counted as such.
            state.close_later(file);
            return state;
        }
        drop(state);
        drop(file);
        self.lock()
    }

    fn close_later<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        file: Box<LogFollower>,
        term: u64,
        now: Duration,
    ) -> MutexGuard<'a, State> {
        let mount: Arc<str> = file.mount().into();
        self.enter(&mut state, mount.clone(), None, now);
        drop(state);
        drop(file);
        let mut state = self.lock();
        if state.term != term {
            state.came_back(&mount, self.now());
            self.leader.notify_all();
        }
        state
    }

    fn enter(&self, state: &mut State, mount: Arc<str>, tail: Option<TailId>, now: Duration) {
        let since = now;
        state.busy = Some(Busy { since, mount, tail });
        // It wakes by itself after the leader's next poll; waking it for each one would cost as much as the poll.
        if state.standby_at.is_none_or(|at| at > now + STUCK_AFTER) {
            self.standby.notify_all();
        }
    }

    fn send_apart(
        self: &Arc<Self>,
        state: &mut State,
        id: TailId,
        file: Box<LogFollower>,
        mount: Arc<str>,
        now: Duration,
    ) {
        let parcel = Arc::new(Mutex::new(Some(file)));
        let take = |parcel: &Mutex<Option<Box<LogFollower>>>| {
            parcel.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        state.hangs(&mount);
        let (shared, sent, on) = (self.clone(), parcel.clone(), mount.clone());
        let spawned = spawn("opencode-tail-apart", move || {
            if let Some(file) = take(&sent) {
                shared.look_apart(id, file, &on);
            }
        });
        if spawned.is_err()
            && let Some(file) = take(&parcel)
        {
            // No thread to be had: later.
            let look = Look {
                again_in: Duration::from_secs(1),
                ..Look::default()
            };
            state.put_back(id, file, look, now);
            state.came_back(&mount, now);
        }
    }

    /// A look at a file whose mount has not answered another one: on a thread that may hang.
    fn look_apart(&self, id: TailId, mut file: Box<LogFollower>, mount: &Arc<str>) {
        let mut buffer = vec![0; CHUNK];
        let look = file.look(self.now(), &mut buffer);
        let mut state = self.lock();
        let now = self.now();
        let left = state.put_back(id, file, look, now);
        state.came_back(mount, now);
        drop(state);
        self.leader.notify_all();
        drop(left);
    }

    /// The loop of the thread that takes over when the leader hangs in a call.
    fn stand_by(self: Arc<Self>, term: u64) {
        let mut state = self.lock();
        while state.term == term {
            let now = self.now();
            let check_at = match (&state.busy, state.wakes_at) {
                (Some(busy), _) => busy.since + STUCK_AFTER,
                (None, Some(wakes_at)) => wakes_at.max(now) + STUCK_AFTER,
                (None, None) => now + STUCK_AFTER,
            };
            let Some(busy) = state.busy.clone().filter(|_| check_at <= now) else {
                state.standby_at = Some(check_at);
                let wait = check_at.saturating_sub(now);
                state = self
                    .standby
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                continue;
            };
            state.hangs(&busy.mount);
            if let Some(tail) = busy.tail {
                state.is_silent(tail, busy.since);
            }
            state.term += 1;
            state.busy = None;
            state.standby_at = None;
            let term = state.term;
            let next = self.clone();
            // Without a thread there is no second takeover; the files go on as they did before this one.
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
