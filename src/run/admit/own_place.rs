//! A run's place among those of its namespace: waited for before its Job is made, and given back with its end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::run::context::RunContext;
use crate::run::host::log::HostLog;
use crate::run::host::progress::Phase;
use crate::run::places::{Place, Places, Turn};

/// See the module.
pub struct OwnPlace {
    places: Places,
    /// Names the namespace, and its cluster.
    key: String,
    namespace: String,
    agent: String,
    /// `maxConcurrentRuns`.
    limit: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    place: Option<Place>,
    waits_since: Option<Instant>,
    waited: Duration,
}

impl OwnPlace {
    pub(super) fn of(context: &RunContext) -> Self {
        let (run, namespace) = (&context.spec.run, &context.namespace.name);
        // The cluster is known by the namespace's uid, where that may be read.
        let key = match run.cluster.as_str() {
            "" => format!("{:?} {namespace}", context.cluster.access),
            uid => uid.to_owned(),
        };
        let limit = context.spec.settings.max_concurrent_runs;
        Self::new(
            context.server.places.clone(),
            key,
            namespace,
            &run.agent_id,
            limit,
        )
    }

    fn new(places: Places, key: String, namespace: &str, agent: &str, limit: u64) -> Self {
        Self {
            places,
            key,
            namespace: namespace.to_owned(),
            agent: agent.to_owned(),
            limit,
            state: Mutex::default(),
        }
    }

    /// Waits for it. Dropped, it waits no longer, and nothing is left of that.
    pub(super) async fn take(&self, host_log: &HostLog) {
        let (taken, granted) = match self.places.turn(&self.key, &self.agent, self.limit) {
            Turn::Now(place) => return self.state().place = Some(place),
            Turn::Later(taken, granted) => (taken, granted),
        };
        let waiting = Waiting::begin(self);
        host_log.phase(Phase::WaitingForPlace);
        let (namespace, limit) = (&self.namespace, self.limit);
        tracing::info!(taken, limit, "waiting for a place");
        host_log
            .status(format!(
                "Waiting for a place: {taken} run(s) of namespace {namespace} are on (maxConcurrentRuns: {limit})"
            ))
            .await;
        let place = granted.await;
        drop(waiting);
        self.state().place = place.ok();
        host_log.phase(Phase::Preparing);
        host_log.status("A place is free, going on").await;
    }

    /// Takes one without waiting: the Job of the run is at work.
    pub(super) fn take_over(&self) {
        if let Turn::Now(place) = self.places.turn(&self.key, &self.agent, 0) {
            self.state().place = Some(place);
        }
    }

    /// Gives it back, if there is one.
    pub(super) fn give_back(&self) {
        let place = self.state().place.take();
        drop(place);
    }

    /// How long it was waited for, in all.
    pub(super) fn waited(&self) -> Duration {
        self.state().waited
    }

    #[cfg(test)]
    fn is_waited_for(&self) -> bool {
        self.state().waits_since.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, the place is waited for.
struct Waiting<'a>(&'a OwnPlace);

impl<'a> Waiting<'a> {
    fn begin(place: &'a OwnPlace) -> Self {
        place.state().waits_since = Some(Instant::now());
        Self(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let since = state.waits_since.take();
        state.waited += since.map(|since| since.elapsed()).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::BoxFuture;

    use super::*;
    use crate::run::host::keepalive::keepalive;
    use crate::run::host::{Host, Kind};
    use crate::run::stop::stop_signal;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);
    impl Host for Heard {
        fn say(&self, _kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>> {
            self.0.lock().expect("lines").push(payload);
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn of(places: &Places, agent: &str) -> OwnPlace {
        OwnPlace::new(places.clone(), "uid".to_owned(), "ns", agent, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_waits_says_so_every_15_s_and_counts_its_wait_apart() {
        let places = Places::default();
        let heard = Arc::new(Heard::default());
        let (_stopper, stop) = stop_signal();
        let (host_log, _reporter) = HostLog::new(heard.clone(), stop);
        let (first, second) = (of(&places, "a"), of(&places, "b"));
        first.take(&host_log).await;
        assert_eq!(heard.0.lock().expect("lines").len(), 0, "nobody waits");
        let ends = async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            first.give_back();
        };
        let waits = async {
            tokio::select! {
                () = second.take(&host_log) => {}
                never = keepalive(&host_log) => match never {},
            }
        };
        tokio::join!(ends, waits);
        let lines = heard.0.lock().expect("lines").clone();
        assert!(
            lines[0].contains("Waiting for a place: 1 run(s) of namespace ns"),
            "{lines:?}"
        );
        let alive = lines
            .iter()
            .filter(|line| line.contains("keepalive — waiting for a place"));
        assert_eq!((alive.count(), lines.len()), (6, 8), "{lines:?}");
        assert_eq!(second.waited(), Duration::from_secs(100));
        assert!(!second.is_waited_for());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_a_wait_that_is_given_up() {
        let places = Places::default();
        let (stopper, stop) = stop_signal();
        let (host_log, _reporter) = HostLog::new(Arc::new(Heard::default()), stop.clone());
        let (first, second) = (of(&places, "a"), of(&places, "b"));
        first.take(&host_log).await;
        let since = Instant::now();
        let cancel = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stopper.stop("signal");
        };
        let waits = async {
            tokio::select! {
                () = second.take(&host_log) => panic!("no place is free"),
                _ = stop.asked() => {}
            }
        };
        tokio::join!(cancel, waits);
        assert_eq!(since.elapsed(), Duration::from_secs(3), "it answers at once");
        assert!(!second.is_waited_for());
        assert_eq!(places.count(), (1, 0));
        drop(first);
        second.take(&host_log).await;
        drop(second);
        assert_eq!(places.count(), (0, 0));
    }

    #[tokio::test]
    async fn who_takes_a_job_over_does_not_wait_but_counts() {
        let places = Places::default();
        let (first, second, third) = (of(&places, "a"), of(&places, "b"), of(&places, "c"));
        first.take_over();
        second.take_over();
        assert_eq!(places.count(), (2, 0));
        drop(second);
        assert!(matches!(third.places.turn("uid", "c", 1), Turn::Later(1, _)));
    }
}
