//! What the cluster looks like now: one watch on Jobs and one on Pods per cluster and namespace, shared by all
//! runs. Requests to the API server do not grow with the number of runs.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::client::Access;
use super::subscribers::{DeletedObject, LastKnown, ResourceKind, Subscribers, ViewStatus};
use super::verbs::{CALL_LIMIT, Namespace, call};
use super::{Cluster, ClusterError};

/// Label by which the Job controller marks its pods.
const JOB_NAME: &str = "job-name";
/// How often the view lists where watching is not granted.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// After this time of listing a watch is tried again: the Role may have been changed.
const WATCH_RETRY_AFTER: Duration = Duration::from_secs(300);
/// The API server ends a watch after this time.
const WATCH_SECONDS: u32 = 290;
/// A watch that is silent for so long is given up, and a list comes instead: API servers send a bookmark every minute.
/// One that sends none, and a proxy that holds everything back, look the same.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// After a watch that ended sooner than this comes a pause and a list, and not another watch at once.
const MIN_WATCH_TIME: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Jobs and Pods of this adapter in one namespace.
pub struct View {
    jobs: Store<Job>,
    pods: Store<Pod>,
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
        let (jobs, jobs_writer) = kube::runtime::reflector::store();
        let (pods, pods_writer) = kube::runtime::reflector::store();
        let list_jobs = ListWatch {
            api: namespace.jobs.clone(),
            of: ResourceKind::Jobs,
            what: "jobs",
            labels: labels.to_owned(),
            subscribers: subscribers.clone(),
        };
        let list_pods = ListWatch {
            api: namespace.pods.clone(),
            of: ResourceKind::Pods,
            what: "pods",
            labels: labels.to_owned(),
            subscribers: subscribers.clone(),
        };
        let tasks = [
            tokio::spawn(list_jobs.run(jobs_writer)).abort_handle(),
            tokio::spawn(list_pods.run(pods_writer)).abort_handle(),
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
    pub fn job(&self, namespace: &str, name: &str) -> Option<Arc<Job>> {
        self.jobs.get(&ObjectRef::new(name).within(namespace))
    }

    /// The pods that the Job's controller made.
    #[must_use]
    pub fn pods_of(&self, job_name: &str) -> Vec<Arc<Pod>> {
        self.pods.state_filter(|pod| {
            pod.metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(JOB_NAME))
                .is_some_and(|name| name == job_name)
        })
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

/// Keeps one store equal to what the API server holds.
struct ListWatch<K> {
    api: Api<K>,
    of: ResourceKind,
    what: &'static str,
    labels: String,
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
    K: Resource<DynamicType = ()>
        + Into<DeletedObject>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
    K::DynamicType: Hash + Eq,
{
    async fn run(self, mut writer: Writer<K>) {
        let mut pause = Duration::ZERO;
        let mut poll_until: Option<Instant> = None;
        loop {
            let version = match self.list(&mut writer).await {
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
            } else if self.watch_on(version, &mut writer).await {
                poll_until = Some(Instant::now() + WATCH_RETRY_AFTER);
                self.subscribers.polling(true);
            } else {
                sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn list(&self, writer: &mut Writer<K>) -> Result<String, ClusterError> {
        let params = ListParams::default().labels(&self.labels);
        let list = call("list", self.what, self.api.list(&params)).await?;
        writer.apply_watcher_event(&Event::Init);
        for item in list.items {
            writer.apply_watcher_event(&Event::InitApply(without_managed_fields(item)));
        }
        writer.apply_watcher_event(&Event::InitDone);
        self.subscribers.changed(self.of, None);
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    /// Watches until a fresh list is needed; true when watching is forbidden.
    async fn watch_on(&self, mut version: String, writer: &mut Writer<K>) -> bool {
        loop {
            let started = Instant::now();
            match self.watch_once(version, writer).await {
                WatchEnd::Forbidden => return true,
                // Only a list that fails counts as an outage: a proxy may refuse watches alone.
                WatchEnd::Relist(error) => {
                    if let Some(error) = error {
                        tracing::debug!(%error, "listing anew");
                    }
                    return false;
                }
                WatchEnd::Resume(_) if started.elapsed() < MIN_WATCH_TIME => return false,
                WatchEnd::Resume(next) => version = next,
            }
        }
    }

    async fn watch_once(&self, mut version: String, writer: &mut Writer<K>) -> WatchEnd {
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
            let object = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    Event::Apply(without_managed_fields(object))
                }
                WatchEvent::Deleted(object) => Event::Delete(without_managed_fields(object)),
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    self.subscribers.answered(self.of);
                    continue;
                }
                WatchEvent::Error(_) => return WatchEnd::Relist(None),
            };
            if let Event::Apply(object) | Event::Delete(object) = &object
                && let Some(seen) = &object.meta().resource_version
            {
                version.clone_from(seen);
            }
            if let Event::Delete(object) = &object
                && let Some(job) = job_of(object)
            {
                self.subscribers.remember_deleted(job, object.clone().into());
            }
            writer.apply_watcher_event(&object);
            if let Event::Apply(object) | Event::Delete(object) = &object {
                self.subscribers.changed(self.of, job_of(object));
            }
        }
    }
}

/// The name of the Job that the object is, or belongs to.
fn job_of<K: Resource>(object: &K) -> Option<&str> {
    let meta = object.meta();
    let of_pod = meta.labels.as_ref().and_then(|labels| labels.get(JOB_NAME));
    of_pod.or(meta.name.as_ref()).map(String::as_str)
}

/// Managed fields are half of an object's size, and nobody reads them.
fn without_managed_fields<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}
