//! A run whose Job exists: what is needed to watch it, to read its files and to remove it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep};

use super::stop::Stop;
use crate::cluster::verbs::{Namespace, call, patiently};
use crate::cluster::{ClusterError, View};
use crate::tail::EndRecord;
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::RunFiles;

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

/// The names of a run's files, beside each other.
#[derive(Debug, Clone)]
pub struct FileNames {
    /// opencode's stdout.
    pub log: String,
    /// opencode's stderr.
    pub stderr: String,
    /// Taken by the first pod.
    pub started: String,
    /// The end record.
    pub end: String,
    /// What the init container compares.
    pub nonce: String,
}

impl FileNames {
    /// All of them.
    pub fn all(&self) -> [&str; 5] {
        [&self.log, &self.stderr, &self.started, &self.end, &self.nonce]
    }
}

/// The run.
pub struct Live {
    /// Where its objects are.
    pub namespace: Namespace,
    /// What the cluster looks like.
    pub view: Arc<View>,
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
    /// Our own clock: `timeoutSec + graceSec` after the start.
    pub deadline: Option<Instant>,
    /// How long each stage may take.
    pub limits: Limits,
    /// Asks it to stop.
    pub stop: Stop,
}

impl Live {
    /// The end record on the volume, if it is there.
    pub async fn record(&self) -> Option<EndRecord> {
        let (files, name, run) = (self.files.clone(), self.names.end.clone(), self.run_id.clone());
        let read = move || {
            let content = files.read_small(&name, MAX_RECORD_BYTES)?;
            EndRecord::parse(&String::from_utf8_lossy(&content), &run)
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// The record of a pod that has just ended: it may take a moment to be seen here.
    pub async fn record_within(&self, patience: Duration) -> Option<EndRecord> {
        let until = Instant::now() + patience;
        loop {
            if let Some(record) = self.record().await {
                return Some(record);
            }
            if Instant::now() >= until {
                return None;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether opencode provably never started: no pod took the start file.
    pub async fn never_started(&self) -> bool {
        let (files, name) = (self.files.clone(), self.names.started.clone());
        tokio::task::spawn_blocking(move || files.read_small(&name, MAX_RECORD_BYTES).is_none())
            .await
            .unwrap_or(false)
    }

    /// Whether the pod belongs to this very Job.
    #[must_use]
    pub fn owns(&self, pod: &Pod) -> bool {
        let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().any(|owner| owner.uid == self.job_uid)
    }

    /// Asks the API server itself; false when it cannot say.
    pub async fn job_is_gone(&self) -> bool {
        let on = format!("job/{}", self.job_name);
        match call("get", &on, self.namespace.jobs.get(&self.job_name)).await {
            Ok(job) => job.metadata.uid.as_deref() != Some(self.job_uid.as_str()),
            Err(error) => error.is_not_found(),
        }
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

    /// Waits until no pod of the Job exists; false when that cannot be verified in time.
    pub async fn pods_gone(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let pods = patiently(left, || self.namespace.pods_of(&self.job_name)).await;
            if pods.is_ok_and(|pods| pods.iter().all(|pod| !self.owns(pod))) {
                return true;
            }
            sleep(Duration::from_millis(500)).await;
        }
        false
    }
}
