//! A run whose Job exists: what is needed to watch it, to read its files and to remove it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::cluster::conditions::{JobEnd, job_end};
use crate::cluster::subscribers::ViewStatus;
use crate::cluster::verbs::{Namespace, call, retry_transient};
use crate::cluster::{ClusterError, View};
use crate::manifest::FileNames;
use crate::run::job::end::ended_by_itself;
use crate::run::stop::Stop;
use crate::run::volume::blocking::{SingleFlight, Volume};
use crate::tail::EndRecord;
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{FileSource, LogSource as _, Ownership, RunFiles, SourceError};

/// How long each stage may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the pod is bound to a node.
    pub schedule: Duration,
    /// From there until its container runs.
    pub start: Duration,
    /// Of a total outage of the API server.
    pub outage: Duration,
}

/// The run.
pub struct JobHandle {
    /// Where its objects are.
    pub namespace: Namespace,
    /// What the cluster looks like.
    pub view: Arc<View>,
    /// Hears of its Job for as long as the run is on: what is deleted meanwhile is remembered.
    pub status: watch::Receiver<ViewStatus>,
    /// The run's id.
    pub run_id: String,
    /// Name of its Job.
    pub job_name: String,
    /// Uid of its Job: another one of that name is not ours.
    pub job_uid: String,
    /// Name of the Secret that holds the prompt.
    pub secret: Option<String>,
    /// Its files.
    pub files: RunFiles,
    /// Their names.
    pub names: FileNames,
    /// Who is to own them.
    pub owner: Ownership,
    /// When the Job's own deadline passes at the earliest: `timeoutSec` after it was asked for.
    pub job_deadline: Option<Instant>,
    /// Our own clock: `graceSec` later.
    pub deadline: Option<Instant>,
    /// How long each stage may take.
    pub limits: Limits,
    /// Asks it to stop.
    pub stop: Stop,
    /// Who works on the volume.
    pub volume: Volume,
    /// Looks at the volume while the run is on.
    pub single_flight: SingleFlight,
    /// The word that this server left when it took the Job over.
    pub holder: Option<String>,
    /// The API server has said that there is no such Job any more: only its files are left.
    pub without_job: bool,
}

/// How long one look at a small file may take, and the same when the host waits for the answer to its cancel.
const LOOK: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_secs(1);

impl JobHandle {
    /// The end record on the volume, if it is there.
    pub async fn record(&self) -> Option<EndRecord> {
        let (files, name, run) = (self.files.clone(), self.names.end.clone(), self.run_id.clone());
        let read = move || {
            let content = files.read_small(&name, MAX_RECORD_BYTES)?;
            EndRecord::parse(&String::from_utf8_lossy(&content), &run)
        };
        self.single_flight.look(&self.volume, LOOK, read).await.flatten()
    }

    /// The record of a pod that has just ended: it may take a moment to be seen here.
    pub async fn record_within(&self, patience: Duration) -> Option<EndRecord> {
        let until = Instant::now() + patience;
        loop {
            let at_least = Instant::now() + GLANCE;
            if let Ok(Some(record)) = timeout_at(until.max(at_least), self.record()).await {
                return Some(record);
            }
            if Instant::now() >= until {
                return None;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// One of the run's small files; `None` when the volume does not answer, `Some(None)` when the file is not there.
    pub(crate) async fn small(&self, name: &str, limit: Duration) -> Option<Option<Vec<u8>>> {
        let (files, name) = (self.files.clone(), name.to_owned());
        let read = move || files.read_small(&name, MAX_RECORD_BYTES);
        self.volume.within(limit, read).await
    }

    /// Whether opencode provably never started: no pod took the start file.
    pub async fn never_started(&self) -> bool {
        let limit = self.patience(LOOK, GLANCE);
        self.small(&self.names.started, limit).await == Some(None)
    }

    /// Whether the agent was started: its pod's word of it lies on the volume.
    pub async fn has_started(&self) -> bool {
        matches!(self.small(&self.names.started, LOOK).await, Some(Some(_)))
    }

    /// Whether another server has taken the Job over since: then it is the one that cleans up.
    pub async fn is_taken_over(&self) -> bool {
        let limit = self.patience(LOOK, GLANCE);
        let found = self.small(&self.names.holder, limit).await.flatten();
        found.is_some_and(|found| Some(found.as_slice()) != self.holder.as_deref().map(str::as_bytes))
    }

    /// Whether another server has harvested the run and cleaned up behind it: the Job is removed, and then the log.
    pub async fn is_harvested(&self) -> bool {
        let place = self.files.place(&self.names.log);
        let limit = self.patience(LOOK, GLANCE);
        let missing = self.volume.within(limit, move || {
            FileSource::new(place, true).look() == Err(SourceError::Missing)
        });
        missing.await.unwrap_or(false) && (self.without_job || self.job_is_gone().await)
    }

    /// How long a request may take: less once the host waits for the answer to its cancel.
    #[must_use]
    pub fn patience(&self, calm: Duration, hurried: Duration) -> Duration {
        if self.stop.reason().is_some() {
            hurried
        } else {
            calm
        }
    }

    /// Whether the pod belongs to this very Job.
    #[must_use]
    pub fn owns(&self, pod: &Pod) -> bool {
        let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().any(|owner| owner.uid == self.job_uid)
    }

    /// The run's Job as last seen.
    #[must_use]
    pub fn job(&self) -> Option<Arc<Job>> {
        let job = self.view.job(&self.namespace.name, &self.job_name);
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

    /// Asks the API server itself; false when it cannot say. Where it may not be asked, the view has the last word while it
    /// hears of Jobs.
    pub async fn job_is_gone(&self) -> bool {
        let on = format!("job/{}", self.job_name);
        match call("get", &on, self.namespace.jobs.get(&self.job_name)).await {
            Ok(job) => !self.is_job(&job),
            Err(error) if error.is_forbidden() => self.job().is_none() && self.view.jobs_synced(),
            Err(error) => error.is_not_found(),
        }
    }

    /// Waits until the Job is gone, so that one of the same name can be made.
    pub async fn job_gone_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.job_is_gone().await {
            if Instant::now() >= until {
                return false;
            }
            sleep(Duration::from_millis(200)).await;
        }
        true
    }

    /// Deletes the Job; its pods get TERM and their grace period.
    ///
    /// # Errors
    /// What the API server answered last.
    pub async fn delete_job(&self, patience: Duration) -> Result<(), ClusterError> {
        self.namespace
            .delete_job(&self.job_name, Some(&self.job_uid), patience)
            .await
    }

    /// Whether the agent was ended by the Job's own deadline: its condition may come after the end of its container.
    pub async fn hit_its_deadline(&self, patience: Duration) -> bool {
        // The API server counts whole seconds.
        let about_now = Instant::now() + Duration::from_secs(1);
        if self.job_deadline.is_none_or(|deadline| about_now < deadline) {
            return false;
        }
        let mut status = self.status.clone();
        let ended = async {
            loop {
                status.borrow_and_update();
                let job = self.job();
                let is_there = job.is_some();
                let told = job.or_else(|| self.last_known_job());
                if ended_by_itself(&self.pods()) {
                    return false;
                }
                if let Some(end) = told.as_deref().and_then(job_end) {
                    return matches!(end, JobEnd::Failed { reason, .. } if reason == "DeadlineExceeded");
                }
                if !is_there || status.changed().await.is_err() {
                    return false;
                }
            }
        };
        timeout(patience, ended).await.unwrap_or(false)
    }

    /// Waits until no pod of the Job exists; false when that cannot be verified in time.
    pub async fn pods_gone(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let pods = retry_transient(left, "list", "pods", || self.namespace.pods_of(&self.job_name)).await;
            if pods.is_ok_and(|pods| pods.iter().all(|pod| !self.owns(pod))) {
                return true;
            }
            sleep(Duration::from_millis(500)).await;
        }
        false
    }
}
