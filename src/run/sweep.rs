//! What dead servers left: files whose Job is gone, and finished Jobs that nobody harvests. Starts after the first
//! run of a cluster and namespace, and then comes back every hour while the process lives.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use tokio::time::sleep;

use super::clock;
use super::site::Site;
use super::volume::on_volume;
use crate::cluster::client::Access;
use crate::cluster::conditions::job_end;
use crate::cluster::verbs::{Namespace, call};
use crate::manifest::{LogPaths, names, on_server};
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{OldRun, RunFiles, old_runs};

const EVERY: Duration = Duration::from_secs(3_600);
/// A big log folder on a slow volume takes its time; the next sweep goes on.
const PATIENCE: Duration = Duration::from_secs(600);
const DELETE: Duration = Duration::from_secs(30);
/// A harvest takes minutes at most: a Job that ended longer ago has nobody, whatever its TTL.
const NOBODY_COMES: Duration = Duration::from_secs(900);
/// The folder of all run logs, as pods see it.
const LOGS: &str = "/paperclip/instances/default/run-logs";

/// What is swept.
struct Sweep {
    namespace: Namespace,
    root: PathBuf,
    /// Uid of the namespace: another cluster may use the same volume.
    cluster: String,
    retention: Duration,
}

/// Starts the sweep of this site's cluster and namespace, once per process.
pub(super) fn start(site: &Site) {
    static STARTED: OnceLock<Mutex<HashSet<(Access, String)>>> = OnceLock::new();
    let mut started = STARTED
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if !started.insert((site.cluster.access.clone(), site.namespace.name.clone())) {
        return;
    }
    let sweep = Sweep {
        namespace: site.namespace.clone(),
        root: site.root.clone(),
        cluster: site.spec.cluster.clone(),
        retention: Duration::from_secs(site.spec.log_retention_sec),
    };
    // It holds nothing but a client, and ends with the runtime.
    tokio::spawn(async move {
        loop {
            sweep.once().await;
            sleep(EVERY).await;
        }
    });
}

impl Sweep {
    async fn once(&self) {
        let jobs = match self.namespace.list_jobs(&names::adapter_selector()).await {
            Ok(jobs) => jobs,
            Err(error) => return tracing::debug!(%error, "sweep"),
        };
        let now = Timestamp::try_from(clock::now()).unwrap_or(Timestamp::UNIX_EPOCH);
        for job in jobs.iter().filter(|job| is_forgotten(job, now)) {
            if let (Some(name), Some(uid)) = (&job.metadata.name, &job.metadata.uid) {
                tracing::info!(%name, "deleting a finished Job that nobody harvests");
                let _ = self.namespace.delete_job(name, Some(uid), DELETE).await;
            }
        }
        // Without its identity the cluster cannot tell its files from another's.
        if self.cluster.is_empty() {
            return;
        }
        let logs = PathBuf::from(on_server(LOGS, &self.root.to_string_lossy()));
        let retention = self.retention;
        let old = on_volume(PATIENCE, move || {
            old_runs(&logs, retention, clock::now()).unwrap_or_default()
        });
        for run in old.await.unwrap_or_default() {
            self.remove(run).await;
        }
    }

    /// Removes the files of an old run if this cluster made them and its Job is gone.
    async fn remove(&self, run: OldRun) {
        let Some((files, paths)) = files_of(&self.root, &run) else {
            return;
        };
        let (record_of, started) = (files.clone(), file_name(&paths.started));
        let record = on_volume(DELETE, move || record_of.read_small(&started, MAX_RECORD_BYTES)).await;
        if !record.flatten().is_some_and(|text| self.made(&text, &run.run)) {
            return;
        }
        let name = names::job_name(&run.agent, &run.run);
        let answer = call("get", &format!("job/{name}"), self.namespace.jobs.get(&name)).await;
        if !answer.is_err_and(|error| error.is_not_found()) {
            return;
        }
        tracing::info!(run = %run.run, "removing the files of a run whose Job is gone");
        let all = super::folder::file_names(&paths);
        on_volume(DELETE, move || files.remove(all.all())).await;
    }

    /// Whether the start record says that a pod of this cluster and namespace made the files.
    fn made(&self, record: &[u8], run: &str) -> bool {
        #[derive(Deserialize)]
        struct Started {
            run: String,
            namespace: String,
            cluster: String,
        }
        serde_json::from_slice::<Started>(record).is_ok_and(|started| {
            started.run == run && started.namespace == self.namespace.name && started.cluster == self.cluster
        })
    }
}

fn files_of(root: &Path, run: &OldRun) -> Option<(RunFiles, LogPaths)> {
    let paths = LogPaths::new(&run.company, &run.agent, &run.run).ok()?;
    let log = on_server(&paths.log, &root.to_string_lossy());
    Some((RunFiles::new(root, Path::new(&log))?, paths))
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// A finished Job that was not made to stay and whose end is long ago.
fn is_forgotten(job: &Job, now: Timestamp) -> bool {
    let Some(ttl) = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished) else {
        return false;
    };
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ended = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition.status == "True");
    let ended = ended
        .filter_map(|condition| condition.last_transition_time.as_ref())
        .map(|time| time.0)
        .max();
    let patience = NOBODY_COMES.max(Duration::from_secs(u64::try_from(ttl).unwrap_or_default()));
    job_end(job).is_some()
        && ended.is_some_and(|ended| now.duration_since(ended).as_secs() >= patience.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_jobs_that_ended_long_ago_and_were_not_kept_are_forgotten() {
        let job = |ttl: Option<i32>, kind: &str| -> Job {
            serde_json::from_value(json!({
                "spec": {"template": {"spec": {"containers": []}}, "ttlSecondsAfterFinished": ttl},
                "status": {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T10:00:00Z"}]},
            }))
            .expect("a job")
        };
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let (soon, late) = (at("2026-01-01T10:14:59Z"), at("2026-01-01T10:15:00Z"));
        assert!(
            is_forgotten(&job(Some(300), "Complete"), late) && is_forgotten(&job(Some(300), "Failed"), late)
        );
        assert!(
            !is_forgotten(&job(Some(300), "Complete"), soon),
            "its harvest may be on"
        );
        assert!(
            !is_forgotten(&job(Some(7_200), "Complete"), late),
            "the operator gave it longer"
        );
        assert!(!is_forgotten(&job(None, "Complete"), late), "retained");
        assert!(!is_forgotten(&job(Some(300), "Suspended"), late), "not over");
    }
}
