//! Wakes each run when its own Job or pod changes, and no other run: many runs must not wake each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::Instant;

use super::ClusterError;

/// How current the view is.
#[derive(Debug, Clone)]
pub struct ViewStatus {
    /// Grows with every change.
    pub version: u64,
    /// Set while requests for Jobs and requests for pods fail: why, and since when both do.
    pub unreachable_since: Option<(String, Instant)>,
    /// Set while requests for pods fail: why, and since when. What the view shows of pods may be old.
    pub pods_stale_since: Option<(String, Instant)>,
    /// Watching is not granted: the view lists every 2 s instead.
    pub polling: bool,
}

/// The last state of a Job and its pods that were deleted. An end and a deletion can follow each other so closely that
/// a run never sees the end in the view.
#[derive(Debug, Clone, Default)]
pub struct LastKnown {
    /// The Job.
    pub job: Option<Arc<Job>>,
    /// Its pods.
    pub pods: Vec<Arc<Pod>>,
}

struct Listener {
    sender: watch::Sender<ViewStatus>,
    last_known: LastKnown,
}

/// The kinds that the view lists and watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResourceKind {
    Jobs,
    Pods,
}

struct State {
    now: ViewStatus,
    /// Set while requests for Jobs fail: why, and since when.
    jobs_stale_since: Option<(String, Instant)>,
    listeners: HashMap<String, Listener>,
}

/// The last state of an object that was deleted.
pub(super) enum DeletedObject {
    Job(Box<Job>),
    Pod(Box<Pod>),
}

impl From<Job> for DeletedObject {
    fn from(job: Job) -> Self {
        Self::Job(Box::new(job))
    }
}

impl From<Pod> for DeletedObject {
    fn from(pod: Pod) -> Self {
        Self::Pod(Box::new(pod))
    }
}

/// The runs that listen, by the names of their Jobs.
pub(super) struct Subscribers(Mutex<State>);

impl Default for Subscribers {
    fn default() -> Self {
        let now = ViewStatus {
            version: 0,
            unreachable_since: None,
            pods_stale_since: Some(("pods were not listed yet".to_owned(), Instant::now())),
            polling: false,
        };
        Self(Mutex::new(State {
            now,
            jobs_stale_since: Some(("Jobs were not listed yet".to_owned(), Instant::now())),
            listeners: HashMap::new(),
        }))
    }
}

impl Subscribers {
    /// Subscribes to one Job.
    pub(super) fn of(&self, job: &str) -> watch::Receiver<ViewStatus> {
        let mut state = self.state();
        state
            .listeners
            .retain(|_, listener| listener.sender.receiver_count() > 0);
        let now = state.now.clone();
        let listener = state.listeners.entry(job.to_owned());
        let listener = listener.or_insert_with(|| Listener {
            sender: watch::Sender::new(now),
            last_known: LastKnown::default(),
        });
        listener.sender.subscribe()
    }

    /// The last state of what was deleted of this Job while somebody listened.
    pub(super) fn last_known(&self, job: &str) -> LastKnown {
        let state = self.state();
        let listener = state.listeners.get(job);
        listener
            .map(|listener| listener.last_known.clone())
            .unwrap_or_default()
    }

    /// The Job of that name, or a pod of it, was deleted. Remembered only if somebody listens.
    pub(super) fn remember_deleted(&self, job: &str, last: DeletedObject) {
        if let Some(listener) = self.state().listeners.get_mut(job) {
            match last {
                DeletedObject::Job(job) => listener.last_known.job = Some(Arc::new(*job)),
                DeletedObject::Pod(pod) => listener.last_known.pods.push(Arc::new(*pod)),
            }
        }
    }

    /// This Job or a pod of it changed; without a name, any may have.
    pub(super) fn changed(&self, of: ResourceKind, job: Option<&str>) {
        let mut state = self.state();
        state.now.version += 1;
        let recovered = state.set(of, None);
        match job {
            Some(job) if !recovered => {
                if let Some(listener) = state.listeners.get(job) {
                    listener.sender.send_replace(state.now.clone());
                }
            }
            _ => state.notify_all(),
        }
    }

    /// A request was answered, and nothing changed.
    pub(super) fn answered(&self, of: ResourceKind) {
        let mut state = self.state();
        if state.set(of, None) {
            state.notify_all();
        }
    }

    /// A request failed.
    pub(super) fn failed(&self, of: ResourceKind, error: &ClusterError) {
        let mut state = self.state();
        state.set(of, Some(error.to_string()));
        state.notify_all();
    }

    /// Whether the view lists because watching is not granted.
    pub(super) fn polling(&self, polling: bool) {
        let mut state = self.state();
        if state.now.polling != polling {
            state.now.polling = polling;
            state.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes whether requests for this kind fail; true when that changed. The time counts from the first failure: a
    /// quiet watch is no outage.
    fn set(&mut self, of: ResourceKind, error: Option<String>) -> bool {
        let stale_since = match of {
            ResourceKind::Jobs => &mut self.jobs_stale_since,
            ResourceKind::Pods => &mut self.now.pods_stale_since,
        };
        let changed = stale_since.is_some() != error.is_some();
        let was_unreachable = self.now.unreachable_since.take();
        let since = stale_since.take().map(|(_, since)| since);
        *stale_since = error.map(|error| (error, since.unwrap_or_else(Instant::now)));
        self.now.unreachable_since = match (&self.jobs_stale_since, &self.now.pods_stale_since) {
            (Some(jobs), Some(pods)) if jobs.1 >= pods.1 => Some(jobs.clone()),
            (Some(_), Some(pods)) => Some(pods.clone()),
            _ => None,
        };
        self.log_outage(was_unreachable.map(|(_, since)| since));
        changed
    }

    /// The begin and the end of an outage, once each.
    fn log_outage(&self, was: Option<Instant>) {
        match (was, &self.now.unreachable_since) {
            (None, Some(_)) => tracing::warn!("the API server is not reachable"),
            (Some(since), None) => {
                tracing::warn!(
                    seconds = since.elapsed().as_secs(),
                    "the API server is reachable again"
                );
            }
            _ => {}
        }
    }

    fn notify_all(&self) {
        for listener in self.listeners.values() {
            listener.sender.send_replace(self.now.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_counted_from_its_first_failure() {
        let subscribers = Subscribers::default();
        let status = subscribers.of("a");
        for of in [ResourceKind::Jobs, ResourceKind::Pods] {
            subscribers.answered(of);
        }
        tokio::time::advance(std::time::Duration::from_secs(3_600)).await;
        let down = ClusterError::Config("down".to_owned());
        let both_fail = || [ResourceKind::Jobs, ResourceKind::Pods].map(|of| subscribers.failed(of, &down));
        both_fail();
        let began = Instant::now();
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        both_fail();
        let since = status
            .borrow()
            .unreachable_since
            .as_ref()
            .map(|(_, since)| *since);
        assert_eq!(
            since,
            Some(began),
            "an hour without a change is not an hour of outage"
        );
    }

    #[test]
    fn the_last_state_of_what_is_deleted_is_remembered_for_those_who_listen() {
        let subscribers = Subscribers::default();
        let named = |name: &str| {
            let mut job = Job::default();
            job.metadata.uid = Some(name.to_owned());
            job
        };
        subscribers.remember_deleted("a", named("before").into());
        let status = subscribers.of("a");
        assert!(subscribers.last_known("a").job.is_none());
        subscribers.remember_deleted("a", named("since").into());
        subscribers.remember_deleted("a", Pod::default().into());
        let last_known = subscribers.last_known("a");
        let job = last_known.job.and_then(|job| job.metadata.uid.clone());
        assert_eq!((job.as_deref(), last_known.pods.len()), (Some("since"), 1));
        drop(status);
        let _other = subscribers.of("b");
        assert!(
            subscribers.last_known("a").pods.is_empty(),
            "and forgotten with them"
        );
    }

    #[test]
    fn a_run_is_woken_by_its_own_job_and_by_outages() {
        let subscribers = Subscribers::default();
        for of in [ResourceKind::Jobs, ResourceKind::Pods] {
            subscribers.answered(of);
        }
        let (mut a, mut b) = (subscribers.of("a"), subscribers.of("b"));
        subscribers.changed(ResourceKind::Jobs, Some("a"));
        assert!(a.has_changed().is_ok_and(|yes| yes) && b.has_changed().is_ok_and(|yes| !yes));
        a.mark_unchanged();
        let down = ClusterError::Config("down".to_owned());
        subscribers.failed(ResourceKind::Jobs, &down);
        subscribers.failed(ResourceKind::Pods, &down);
        assert!(
            a.borrow_and_update().unreachable_since.is_some()
                && b.borrow_and_update().unreachable_since.is_some()
        );
        subscribers.answered(ResourceKind::Jobs);
        assert!(
            a.borrow_and_update().unreachable_since.is_none()
                && b.borrow_and_update().unreachable_since.is_none()
        );
        subscribers.changed(ResourceKind::Jobs, None);
        assert!(b.has_changed().is_ok_and(|yes| yes));
        drop((a, b));
        drop(subscribers.of("c"));
        assert_eq!(
            subscribers.state().listeners.len(),
            1,
            "those who left are forgotten"
        );
    }

    #[test]
    fn pods_may_be_stale_while_jobs_are_not() {
        let subscribers = Subscribers::default();
        let status = subscribers.of("a");
        assert!(
            subscribers.state().jobs_stale_since.is_some(),
            "nobody was asked yet"
        );
        subscribers.failed(ResourceKind::Pods, &ClusterError::Config("down".to_owned()));
        subscribers.changed(ResourceKind::Jobs, Some("a"));
        subscribers.answered(ResourceKind::Jobs);
        assert!(subscribers.state().jobs_stale_since.is_none());
        let now = status.borrow().clone();
        assert!(
            now.pods_stale_since.is_some() && now.unreachable_since.is_none(),
            "{now:?}"
        );
        subscribers.changed(ResourceKind::Pods, None);
        assert!(status.borrow().pods_stale_since.is_none());
    }
}
