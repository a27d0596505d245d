//! What the cluster looks like now: one watch on Jobs and one on Pods per cluster and namespace, shared by all
//! runs. Requests to the API server do not grow with the number of runs.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::client::Access;
use super::list::list_all;
use super::objects::{Objects, OfJob, without_details};
use super::subscribers::{DeletedObject, LastKnown, ResourceKind, Subscribers, ViewStatus};
use super::verbs::{CALL_LIMIT, Namespace};
use super::{Cluster, ClusterError};
use crate::metrics;

/// How often the view lists where watching is not granted.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// After this time of listing a watch is tried again: the Role may have been changed.
const WATCH_RETRY_AFTER: Duration = Duration::from_secs(300);
/// The API server ends a watch after this time.
const WATCH_SECONDS: u32 = 290;
/// A watch that is silent for so long is given up, and a list comes instead: API servers send a bookmark every minute.
/// One that sends none, and a proxy that holds everything back, look the same.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Watches go on from each other for so long at most, and then comes a list: bookmarks say that a connection is good,
/// and an API server's cache may have lost events all the same.
const LIST_AGAIN_AFTER: Duration = Duration::from_secs(500);
/// After a watch that ended sooner than this comes a pause and a list, and not another watch at once.
const MIN_WATCH_TIME: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Jobs and Pods of this adapter in one namespace.
pub struct View {
    jobs: Arc<Objects<Job>>,
    pods: Arc<Objects<Pod>>,
    subscribers: Arc<Subscribers>,
    tasks: [AbortHandle; 2],
}

/// The views of a server. Each is open while some run uses it.
#[derive(Default)]
pub struct Views(Mutex<HashMap<(Access, String), Weak<View>>>);

impl Views {
    /// The view of this namespace: an existing one while some run uses it, else a new one.
    #[must_use]
    pub fn of(&self, cluster: &Cluster, namespace: &Namespace, labels: &str) -> Arc<View> {
        let mut open = self.open();
        let key = (cluster.access.clone(), namespace.name.clone());
        if let Some(view) = open.get(&key).and_then(Weak::upgrade) {
            return view;
        }
        let view = Arc::new(View::open(namespace, labels));
        open.insert(key, Arc::downgrade(&view));
        view
    }

    /// How many are open, each with two watches.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// Those that some run uses; the others are forgotten.
    fn open(&self) -> MutexGuard<'_, HashMap<(Access, String), Weak<View>>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, view| view.strong_count() > 0);
        open
    }
}

impl View {
    fn open(namespace: &Namespace, labels: &str) -> Self {
        let subscribers = Arc::new(Subscribers::default());
        let (jobs, pods) = (Arc::<Objects<Job>>::default(), Arc::<Objects<Pod>>::default());
        let list_jobs = ListWatch {
            api: namespace.jobs.clone(),
            of: ResourceKind::Jobs,
            what: "jobs",
            labels: labels.to_owned(),
            objects: jobs.clone(),
            subscribers: subscribers.clone(),
        };
        let list_pods = ListWatch {
            api: namespace.pods.clone(),
            of: ResourceKind::Pods,
            what: "pods",
            labels: labels.to_owned(),
            objects: pods.clone(),
            subscribers: subscribers.clone(),
        };
        let tasks = [
            tokio::spawn(list_jobs.run()).abort_handle(),
            tokio::spawn(list_pods.run()).abort_handle(),
        ];
        Self {
            jobs,
            pods,
            subscribers,
            tasks,
        }
    }

    /// Tells of every change of this Job and its pods; the value says how the view is doing.
    #[must_use]
    pub fn subscribe(&self, job_name: &str) -> watch::Receiver<ViewStatus> {
        self.subscribers.of(job_name)
    }

    /// The Job of that name as last seen.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<Arc<Job>> {
        self.jobs.of_job(name).pop()
    }

    /// The pods that the Job's controller made.
    #[must_use]
    pub fn pods_of(&self, job_name: &str) -> Vec<Arc<Pod>> {
        self.pods.of_job(job_name)
    }

    /// What was deleted of this Job since somebody subscribed to it, as it last was.
    #[must_use]
    pub fn last_known(&self, job_name: &str) -> LastKnown {
        self.subscribers.last_known(job_name)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Keeps what is known of one kind equal to what the API server holds.
struct ListWatch<K> {
    api: Api<K>,
    of: ResourceKind,
    what: &'static str,
    labels: String,
    objects: Arc<Objects<K>>,
    subscribers: Arc<Subscribers>,
}

/// How a watch ended.
enum WatchEnd {
    /// In time, or by a broken connection: the next watch goes on from this version.
    Resume(String),
    /// The version is too old, or the watch failed: a list must come first.
    Relist(Option<ClusterError>),
    /// Watching is not granted.
    Forbidden,
}

impl<K> ListWatch<K>
where
    K: OfJob + Into<DeletedObject> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    async fn run(self) {
        let mut pause = Duration::ZERO;
        let mut poll_until: Option<Instant> = None;
        loop {
            let version = match self.list().await {
                Ok(version) => version,
                Err(error) => {
                    self.subscribers.failed(self.of, &error);
                    pause = (pause * 2).clamp(Duration::from_millis(500), MAX_PAUSE);
                    sleep(pause).await;
                    continue;
                }
            };
            pause = Duration::ZERO;
            if poll_until.is_some_and(|until| Instant::now() < until) {
                sleep(POLL_INTERVAL).await;
            } else if self.watch_on(version).await {
                poll_until = Some(Instant::now() + WATCH_RETRY_AFTER);
                self.subscribers.polling(true);
            } else {
                sleep(Duration::from_secs(1)).await;
            }
        }
    }

    fn note_end(&self, reason: &'static str, error: Option<&ClusterError>) {
        metrics::note(|metrics| metrics.watch_ended(self.what, reason));
        let (resource, class) = (self.what, error.map(|error| error.class().into_owned()));
        if reason == "in_time" {
            tracing::debug!(resource, reason, "watch restarted");
        } else {
            tracing::info!(resource, reason, class, "watch restarted");
        }
    }

    async fn list(&self) -> Result<String, ClusterError> {
        let (items, version) = list_all(&self.api, self.what, &self.labels, without_details).await?;
        self.objects.replace(items);
        self.subscribers.changed(self.of, None);
        Ok(version)
    }

    /// Watches until a fresh list is needed; true when watching is forbidden.
    async fn watch_on(&self, mut version: String) -> bool {
        let listed = Instant::now();
        loop {
            let started = Instant::now();
            match self.watch_once(version).await {
                WatchEnd::Forbidden => {
                    self.note_end("forbidden", None);
                    return true;
                }
                // Only a list that fails counts as an outage: a proxy may refuse watches alone.
                WatchEnd::Relist(error) => {
                    self.note_end("broken", error.as_ref());
                    return false;
                }
                WatchEnd::Resume(_) if started.elapsed() < MIN_WATCH_TIME => {
                    self.note_end("broken", None);
                    return false;
                }
                WatchEnd::Resume(next) => {
                    self.note_end("in_time", None);
                    if listed.elapsed() >= LIST_AGAIN_AFTER {
                        return false;
                    }
                    version = next;
                }
            }
        }
    }

    async fn watch_once(&self, mut version: String) -> WatchEnd {
        let params = WatchParams::default().labels(&self.labels).timeout(WATCH_SECONDS);
        let stream = match timeout(CALL_LIMIT, self.api.watch(&params, &version)).await {
            Err(_) => {
                let error = ClusterError::Timeout {
                    verb: "watch",
                    on: self.what.to_owned(),
                    after: CALL_LIMIT,
                };
                return WatchEnd::Relist(Some(error));
            }
            Ok(Err(error)) => {
                let error = ClusterError::from_kube("watch", self.what, &error);
                return if error.is_forbidden() {
                    WatchEnd::Forbidden
                } else {
                    WatchEnd::Relist(Some(error))
                };
            }
            Ok(Ok(stream)) => stream,
        };
        self.subscribers.polling(false);
        let mut stream = stream.into_stream().boxed();
        loop {
            let event = match timeout(SILENCE_LIMIT, stream.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(_)) | None) => return WatchEnd::Resume(version),
                Err(_) => return WatchEnd::Relist(None),
            };
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    note_version(&mut version, &object);
                    let job = object.job_name().map(str::to_owned);
                    self.objects.set(without_details(object));
                    self.subscribers.changed(self.of, job.as_deref());
                }
                WatchEvent::Deleted(object) => {
                    note_version(&mut version, &object);
                    let object = without_details(object);
                    if let Some(job) = object.job_name() {
                        self.subscribers.remember_deleted(job, object.clone().into());
                    }
                    self.objects.remove(&object);
                    self.subscribers.changed(self.of, object.job_name());
                }
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    self.subscribers.answered(self.of);
                }
                WatchEvent::Error(_) => return WatchEnd::Relist(None),
            }
        }
    }
}

fn note_version<K: Resource>(version: &mut String, object: &K) {
    if let Some(seen) = &object.meta().resource_version {
        version.clone_from(seen);
    }
}
