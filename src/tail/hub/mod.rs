//! One hub per process polls the files of all tails. One thread makes the system calls for every file; another stands
//! by and takes over when a call hangs on a dead mount. Both live while there are tails.
//!
//! `state` decides which file is next; `threads` owns the threads, `task` does without them, `clock` tells the time.
//! Other rooms use a [`Tail`], which is awaited alone, or a [`Group`], whose tails are delivered together.

mod clock;
mod consumer;
mod group;
mod state;
mod task;
mod threads;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::cadence::TailOptions;
use super::follower::{FinishRule, LogFollower, Look};
use super::source::LogSource;
use clock::Clock;
pub use consumer::{Batch, TailId};
use consumer::{Consumer, Posted};
pub use group::Group;
use state::State;

/// Polls all files that are followed.
#[derive(Clone, Default)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    clock: Clock,
    leader: Condvar,
    standby: Condvar,
    /// Wakes the task of a hub without threads.
    task: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the leader if something is due before it wakes by itself. Wake-ups are most of what an idle hub costs.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let early = state.is_due_before_wake();
        drop(state);
        if early {
            match self.clock {
                Clock::Machine => self.leader.notify_all(),
                Clock::Runtime(_) => self.task.notify_one(),
            }
        }
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn ensure_poller(self: Arc<Self>, state: &mut State) -> std::io::Result<()> {
        match self.clock {
            Clock::Machine => self.ensure_threads(state),
            Clock::Runtime(since) => {
                self.ensure_task(state, since);
                Ok(())
            }
        }
    }

    fn flush(&self, posted: Vec<Posted>) {
        for consumer in posted {
            match consumer {
                Posted::Task(notify) => notify.notify_one(),
                Posted::Group(members) => {
                    if let Some(members) = members.upgrade() {
                        members.flush(self);
                    }
                }
            }
        }
    }
}

impl Hub {
    /// A hub that polls in a task of this runtime and by its clock, for simulations: a call that hangs holds up all.
    #[must_use]
    pub fn on_runtime() -> Self {
        let shared = Shared {
            clock: Clock::Runtime(tokio::time::Instant::now()),
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Starts to follow a file. The handle gives its lines; dropping it ends the tail.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn follow(
        &self,
        source: Box<dyn LogSource>,
        shown: String,
        options: TailOptions,
    ) -> std::io::Result<Tail> {
        let notify = Arc::new(Notify::new());
        let id = self.add(source, shown, options, Consumer::Task(notify.clone()))?;
        Ok(Tail {
            shared: self.shared.clone(),
            id,
            notify,
        })
    }

    fn add(
        &self,
        source: Box<dyn LogSource>,
        shown: String,
        options: TailOptions,
        consumer: Consumer,
    ) -> std::io::Result<TailId> {
        let now = self.shared.now();
        let file = Box::new(LogFollower::new(source, shown, options, now));
        let mut state = self.shared.lock();
        let id = state.add(file, consumer, options.poll, now);
        if let Err(error) = self.shared.clone().ensure_poller(&mut state) {
            state.remove(id);
            return Err(error);
        }
        self.shared.wake(state);
        Ok(id)
    }

    /// Tails that are followed now.
    #[must_use]
    pub fn tails(&self) -> usize {
        self.shared.lock().tails()
    }

    /// Bytes that the tails have yet to give to their consumers, as far as the last looks at their files tell: of the
    /// one that lags most, and of all together.
    #[must_use]
    pub fn lag(&self) -> (u64, u64) {
        let state = self.shared.lock();
        let both = |(max, sum): (u64, u64), lag: u64| (max.max(lag), sum.saturating_add(lag));
        state.lags().fold((0, 0), both)
    }

    /// Mounts on which a call hangs.
    #[must_use]
    pub fn hung_mounts(&self) -> usize {
        self.shared.lock().hung_mounts()
    }

    /// Threads that hang in a call on a mount that does not answer.
    #[must_use]
    pub fn stuck_threads(&self) -> usize {
        self.shared.lock().stuck()
    }
}

/// One file that is followed: gives what each look found.
pub struct Tail {
    shared: Arc<Shared>,
    id: TailId,
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
        let look = state.take_ready(self.id, self.shared.now())?;
        self.shared.wake(state);
        Some(look)
    }

    /// The run is over: the tail finishes by this rule.
    pub fn end(&self, rule: FinishRule) {
        let mut state = self.shared.lock();
        state.end(self.id, rule, self.shared.now());
        self.shared.wake(state);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // Closing a file can block on a dead mount: a thread of the hub does it.
        let mut state = self.shared.lock();
        state.remove(self.id);
        self.shared.wake(state);
    }
}
