//! Who is told of which change: each run hears of its own Job, so that many runs do not wake each other.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::ClusterError;

/// How the view is fed, and since when it hears nothing.
#[derive(Debug, Clone)]
pub struct Pulse {
    /// Grows with every change.
    pub version: u64,
    /// Why the last request failed, and since when they fail; `None` while all is well.
    pub trouble: Option<(String, Instant)>,
    /// Watching is forbidden: the view lists every 2 s instead.
    pub polling: bool,
}

struct State {
    now: Pulse,
    listeners: HashMap<String, watch::Sender<Pulse>>,
}

/// The pulses of all Jobs of a view.
pub(super) struct Pulses(Mutex<State>);

impl Default for Pulses {
    fn default() -> Self {
        let now = Pulse {
            version: 0,
            trouble: None,
            polling: false,
        };
        Self(Mutex::new(State {
            now,
            listeners: HashMap::new(),
        }))
    }
}

impl Pulses {
    /// The pulse of one Job.
    pub(super) fn of(&self, job: &str) -> watch::Receiver<Pulse> {
        let mut state = self.state();
        state
            .listeners
            .retain(|_, listener| listener.receiver_count() > 0);
        let now = state.now.clone();
        let listener = state.listeners.entry(job.to_owned());
        listener.or_insert_with(|| watch::Sender::new(now)).subscribe()
    }

    /// This Job or one of its pods changed; without a Job, anything may have.
    pub(super) fn changed(&self, job: Option<&str>) {
        let mut state = self.state();
        state.now.version += 1;
        match job {
            Some(job) if state.now.trouble.is_none() => {
                if let Some(listener) = state.listeners.get(job) {
                    listener.send_replace(state.now.clone());
                }
            }
            _ => {
                state.now.trouble = None;
                state.tell_all();
            }
        }
    }

    /// The API server answered, and nothing changed.
    pub(super) fn heard(&self) {
        let mut state = self.state();
        if state.now.trouble.take().is_some() {
            state.tell_all();
        }
    }

    /// A request failed.
    pub(super) fn trouble(&self, error: &ClusterError) {
        let mut state = self.state();
        // A quiet watch is no outage: what counts is the time since the first failure.
        let since = state
            .now
            .trouble
            .take()
            .map_or_else(Instant::now, |(_, since)| since);
        state.now.trouble = Some((error.to_string(), since));
        state.tell_all();
    }

    /// Whether watching is forbidden.
    pub(super) fn polling(&self, polling: bool) {
        let mut state = self.state();
        if state.now.polling != polling {
            state.now.polling = polling;
            state.tell_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell_all(&self) {
        for listener in self.listeners.values() {
            listener.send_replace(self.now.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_counted_from_its_first_failure() {
        let pulses = Pulses::default();
        let pulse = pulses.of("a");
        tokio::time::advance(std::time::Duration::from_secs(3_600)).await;
        let down = ClusterError::Config("down".to_owned());
        pulses.trouble(&down);
        let began = Instant::now();
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        pulses.trouble(&down);
        let since = pulse.borrow().trouble.as_ref().map(|(_, since)| *since);
        assert_eq!(
            since,
            Some(began),
            "an hour without news is not an hour of outage"
        );
    }

    #[test]
    fn a_job_hears_of_itself_and_of_trouble() {
        let pulses = Pulses::default();
        let (mut a, mut b) = (pulses.of("a"), pulses.of("b"));
        pulses.changed(Some("a"));
        assert!(a.has_changed().is_ok_and(|yes| yes) && b.has_changed().is_ok_and(|yes| !yes));
        a.mark_unchanged();
        pulses.trouble(&ClusterError::Config("down".to_owned()));
        assert!(a.borrow_and_update().trouble.is_some() && b.borrow_and_update().trouble.is_some());
        pulses.heard();
        assert!(a.borrow_and_update().trouble.is_none() && b.borrow_and_update().trouble.is_none());
        pulses.changed(None);
        assert!(b.has_changed().is_ok_and(|yes| yes));
        drop((a, b));
        drop(pulses.of("c"));
        assert_eq!(pulses.state().listeners.len(), 1, "those who left are forgotten");
    }
}
