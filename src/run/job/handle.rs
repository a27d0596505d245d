//! A run whose Job exists: what is needed to watch it, to read its files and to remove it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::cluster::conditions::{has_ended, is_owned_by, job_end};
use crate::cluster::subscribers::ViewStatus;
use crate::cluster::verbs::{Namespace, find, retry_transient};
use crate::cluster::{ClusterError, View};
use crate::manifest::FileNames;
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::clock::Clock;
use crate::run::seal::Seal;
use crate::run::stop::Stop;
use crate::run::timing::{Budget, HARVESTED, Limit, PODS_GONE_LOOK, REQUEST, SMALL_FILE};
use crate::run::volume::blocking::{SingleFlight, Volume};
use crate::run::volume::folder::nonce;
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{FileSource, LogSource as _, Ownership, RunFiles, SourceError};
use crate::tail::{EndRecord, StartRecord};

/// How long each stage may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the pod is bound to a node.
    pub schedule: Duration,
    /// From there until its container runs.
    pub start: Duration,
    /// Of a total outage of the API server.
    pub outage: Duration,
    /// Of an agent that prints nothing; `None` without limit.
    pub silence: Option<Duration>,
    /// When the Job's own deadline passes at the earliest: `timeoutSec` after it was asked for.
    pub job_deadline: Option<Instant>,
    /// Our own clock: `graceSec` later.
    pub deadline: Option<Instant>,
}

/// What the API server said about one object. That it could not be asked is `None` beside this.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<T> {
    /// It is not there.
    Absent,
    /// It is.
    Found(T),
}

/// The run.
pub struct JobHandle {
    /// Where its objects are.
    pub namespace: Namespace,
    /// What the cluster looks like.
    pub view: Arc<View>,
    /// Watches its Job for as long as the run is on: what is deleted meanwhile is remembered.
    pub status: watch::Receiver<ViewStatus>,
    /// The wall clock.
    pub clock: Clock,
    /// The run's id.
    pub run_id: String,
    /// Name of its Job.
    pub job_name: String,
    /// Uid of its Job: another one of that name is not ours.
    pub job_uid: String,
    /// Name of the Secret that holds the prompt.
    pub secret: Option<String>,
    /// What the API server warned of when it made the Job.
    pub warnings: Vec<String>,
    /// Its files.
    pub files: RunFiles,
    /// Their names.
    pub names: FileNames,
    /// Who is to own them.
    pub owner: Ownership,
    /// How long each stage may take.
    pub limits: Limits,
    /// Asks it to stop.
    pub stop: Stop,
    /// Knows what servers have left on the volume.
    pub seal: Seal,
    /// Who works on the volume.
    pub volume: Volume,
    /// Looks at the volume while the run is on.
    pub single_flight: SingleFlight,
    /// The word that this server left when it took the Job over.
    pub holder: Option<String>,
    /// A server made the log, before the Job.
    pub log_by_server: bool,
    /// The API server has said that there is no such Job any more: only its files are left.
    pub without_job: bool,
    /// It is of a task, whose next run reports what this one cannot.
    pub has_task: bool,
}

/// A small file as it was read.
type SmallFile = Result<Option<Vec<u8>>, SourceError>;

impl JobHandle {
    /// What is left of the time for the answer to a cancel.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget::of(&self.stop)
    }

    /// The end record on the volume, if it is there.
    pub async fn record(&self) -> Option<EndRecord> {
        let (files, name, run) = (self.files.clone(), self.names.end.clone(), self.run_id.clone());
        let read = move || {
            let content = files.read_small(&name, MAX_RECORD_BYTES).ok()??;
            EndRecord::parse(&String::from_utf8_lossy(&content), &run)
        };
        let look = self.single_flight.look(&self.volume, SMALL_FILE.calm, read);
        self.budget().within(SMALL_FILE, look).await.flatten().flatten()
    }

    /// One of the run's small files; `None` when the volume does not say, `Some(None)` when the file is not there.
    pub(crate) async fn small(&self, name: &str, limit: Limit) -> Option<Option<Vec<u8>>> {
        self.read_as(name, limit, |read| read).await
    }

    /// A small file that only servers make, as [`Self::small`]; what lies there and no server made is an empty one.
    pub(crate) async fn servers_file(&self, name: &str, limit: Limit) -> Option<Option<Vec<u8>>> {
        let of_server = |read| match read {
            Err(SourceError::Hostile(_)) => Ok(Some(Vec::new())),
            read => read,
        };
        self.read_as(name, limit, of_server).await
    }

    async fn read_as(
        &self,
        name: &str,
        limit: Limit,
        taken: fn(SmallFile) -> SmallFile,
    ) -> Option<Option<Vec<u8>>> {
        let (files, name) = (self.files.clone(), name.to_owned());
        let read = move || taken(files.read_small(&name, MAX_RECORD_BYTES));
        let read = self.volume.until_answered(limit.calm, read);
        self.budget().within(limit, read).await.flatten()?.ok()
    }

    /// Whether a pod took the start record, and so may have started opencode; `None` when the volume does not answer.
    /// It may have as well when the log is gone that lay there before the Job: whoever harvests a run removes both.
    pub async fn started(&self) -> Option<bool> {
        let found = self.small(&self.names.started, SMALL_FILE).await?;
        Some(found.is_some() || (self.log_by_server && self.log_is_missing().await))
    }

    /// The start record; `None` when the volume does not answer, `Some(None)` when there is none of this run.
    pub(crate) async fn start_record(&self) -> Option<Option<StartRecord>> {
        let content = self.small(&self.names.started, SMALL_FILE).await?;
        Some(content.and_then(|content| StartRecord::of_any_place(&content, &self.run_id)))
    }

    /// Whether another server has taken the Job over since: then it is the one that cleans up. A word without a
    /// server's seal is an agent's, and says nothing.
    pub async fn is_taken_over(&self) -> bool {
        let found = self.small(&self.names.holder, SMALL_FILE).await.flatten();
        let holder = found
            .as_deref()
            .and_then(|found| self.seal.holder(found, &self.job_uid));
        holder.is_some_and(|holder| self.holder.as_deref() != Some(holder))
    }

    /// Whether another server has harvested the run and cleaned up behind it: it removes the Job, and then the log.
    /// While the API server cannot say, the missing log is believed: no server removes it while the Job is there.
    pub async fn is_harvested(&self) -> bool {
        self.log_is_missing().await && !self.job_is_there().await
    }

    /// Whether the volume says that there is no log. One that cannot be read is there.
    pub async fn log_is_missing(&self) -> bool {
        let path = self.files.path_of(&self.names.log);
        let look = move || FileSource::new(path.clone(), true).look();
        let seen = self.volume.until_answered(SMALL_FILE.calm, look);
        let seen = self.budget().within(SMALL_FILE, seen).await.flatten();
        seen == Some(Err(SourceError::Missing))
    }

    /// Whether the log is there and can be opened anew; false when the volume does not answer.
    pub async fn log_can_be_read(&self) -> bool {
        let path = self.files.path_of(&self.names.log);
        let opened = self.volume.within(SMALL_FILE.calm, move || {
            FileSource::new(path, true).open().is_ok()
        });
        self.budget().within(SMALL_FILE, opened).await.flatten() == Some(true)
    }

    /// A word that nothing else has, to know again what this server wrote.
    #[must_use]
    pub fn new_word() -> String {
        nonce()
    }

    /// Whether the pod belongs to this very Job.
    #[must_use]
    pub fn owns(&self, pod: &Pod) -> bool {
        is_owned_by(pod, &self.job_uid)
    }

    /// The run's Job as last seen.
    #[must_use]
    pub fn job(&self) -> Option<Arc<Job>> {
        let job = self.view.job(&self.job_name);
        job.filter(|job| self.is_job(job))
    }

    /// Whether the Job is there and has ended.
    #[must_use]
    pub fn job_is_over(&self) -> bool {
        self.job().as_deref().and_then(job_end).is_some()
    }

    /// What the Job looked like when it was deleted.
    #[must_use]
    pub fn last_known_job(&self) -> Option<Arc<Job>> {
        let job = self.view.last_known(&self.job_name).job;
        job.filter(|job| self.is_job(job))
    }

    /// The Job's pods as last seen.
    #[must_use]
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.view.pods_of(&self.job_name);
        pods.retain(|pod| self.owns(pod));
        pods
    }

    /// What the Job's pods looked like when they were deleted, in that order.
    #[must_use]
    pub fn last_known_pods(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.view.last_known(&self.job_name).pods;
        pods.retain(|pod| self.owns(pod));
        pods
    }

    fn is_job(&self, job: &Job) -> bool {
        job.metadata.uid.as_deref() == Some(self.job_uid.as_str())
    }

    /// Whether the Job is gone, by the API server itself; `None` when it cannot say.
    pub async fn job_gone(&self) -> Option<bool> {
        let asked = self.budget().within(REQUEST, self.ask_for_job()).await?;
        Some(asked.ok()?.is_none())
    }

    /// The Job as the API server has it: a view can be old, and what is asked for here decides.
    async fn ask_for_job(&self) -> Result<Option<Job>, ClusterError> {
        let found = find(&self.namespace.jobs, &self.job_name).await?;
        Ok(found.filter(|job| self.is_job(job)))
    }

    /// Whether the API server says that the Job is there and stays. Asked again while it cannot say: the answer decides
    /// whether what the run used was reported already. Something may hold a Job for a while after its deletion.
    pub async fn job_is_there(&self) -> bool {
        if self.without_job {
            return false;
        }
        let (limit, on) = (self.budget().limit(HARVESTED), format!("job/{}", self.job_name));
        let job = retry_transient(limit, "get", &on, || self.ask_for_job()).await;
        job.is_ok_and(|job| job.is_some_and(|job| job.metadata.deletion_timestamp.is_none()))
    }

    /// The pod of this name, by the API server itself; `None` when it cannot say. Where `get` is not granted a list
    /// tells: what the view shows goes by labels, and somebody may have changed them.
    pub(crate) async fn pod(&self, name: &str) -> Option<Answer<Arc<Pod>>> {
        let asked = find(&self.namespace.pods, name);
        let found = self.budget().within(REQUEST, asked).await?.ok()?;
        let own = found.filter(|pod| self.owns(pod)).map(Arc::new);
        Some(own.map_or(Answer::Absent, Answer::Found))
    }

    /// The Job's pods, by the API server itself; `None` when it cannot say.
    pub(crate) async fn list_pods(&self) -> Option<Vec<Arc<Pod>>> {
        let listed = self.namespace.pods_of(&self.job_name);
        let mut pods = self.budget().within(REQUEST, listed).await?.ok()?;
        pods.retain(|pod| self.owns(pod));
        Some(pods.into_iter().map(Arc::new).collect())
    }

    /// Deletes the Job; its pods get TERM and their grace period.
    ///
    /// # Errors
    /// What the API server answered last.
    pub async fn delete_job(&self, limit: Duration) -> Result<(), ClusterError> {
        self.namespace
            .delete_job(&self.job_name, Some(&self.job_uid), limit)
            .await
    }

    /// Waits until no pod of the Job runs the agent; false when that cannot be verified in time. A pod whose agent has
    /// ended is as good as gone: a finalizer may keep the object. `bound`: the pod that runs the agent, which is asked
    /// for by name as well.
    pub async fn pods_gone(&self, bound: Option<&str>, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let is_gone = |pod: &Pod| !self.owns(pod) || has_ended(pod, OPENCODE_CONTAINER);
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let pods = retry_transient(left, "list", "pods", || self.namespace.pods_of(&self.job_name)).await;
            let are_gone = pods.is_ok_and(|pods| pods.iter().all(is_gone));
            let bound_is_gone = async || {
                let Some(name) = bound else { return true };
                match self.pod(name).await {
                    Some(Answer::Found(pod)) => is_gone(&pod),
                    Some(Answer::Absent) => true,
                    None => false,
                }
            };
            if are_gone && bound_is_gone().await {
                return true;
            }
            sleep(PODS_GONE_LOOK).await;
        }
        false
    }
}
