//! A hub without threads: a task of the runtime polls the files, by the runtime's clock, which tests can stop. Nobody
//! stands by: a call that hangs holds up the runtime, so this is for simulations, whose files answer at once.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::state::{LeaderTask, State};
use crate::tail::follower::CHUNK;

impl Shared {
    pub(super) fn ensure_task(self: Arc<Self>, state: &mut State, since: Instant) {
        if !std::mem::replace(&mut state.running, true) {
            tokio::spawn(async move { self.poll(since).await });
        }
    }

    /// Looks at what is due, as long as there are tails.
    async fn poll(&self, since: Instant) {
        let mut buffer = vec![0; CHUNK];
        while let Some(until) = self.look_at_due(&mut buffer) {
            tokio::select! {
                biased;
                () = self.task.notified() => {}
                () = sleep_until(since + until) => {}
            }
            self.lock().wakes_at = None;
        }
    }

    /// Does all that is due; until when there is nothing more, or none when no tail is left.
    fn look_at_due(&self, buffer: &mut [u8]) -> Option<Duration> {
        loop {
            let now = self.now();
            let mut state = self.lock();
            match state.next_task(now) {
                LeaderTask::Look(id, mut file, _) | LeaderTask::LookApart(id, mut file, _) => {
                    drop(state);
                    let look = file.look(now, buffer);
                    let left = self.lock().put_back(id, file, look, now);
                    drop(left);
                }
                LeaderTask::Close(file) => {
                    drop(state);
                    drop(file);
                }
                LeaderTask::Sleep(until) => {
                    let Some(state) = self.flushed(state) else {
                        continue;
                    };
                    let mut state = state;
                    state.wakes_at = Some(until);
                    return Some(until);
                }
                LeaderTask::Leave => {
                    let Some(mut state) = self.flushed(state) else {
                        continue;
                    };
                    state.running = false;
                    return None;
                }
            }
        }
    }

    /// None when something went out, so that there may be more to do.
    fn flushed<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Option<MutexGuard<'a, State>> {
        let posted = state.take_posted();
        if posted.is_empty() {
            return Some(state);
        }
        drop(state);
        self.flush(posted);
        None
    }
}
