//! Removes what dead servers left: files whose Job is gone, and finished Jobs that nobody harvests. Starts after the
//! first run of a cluster and namespace, and repeats every hour while the process lives.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::cluster::conditions::{is_of, job_end};
use crate::cluster::verbs::{Namespace, find};
use crate::manifest::{FileNames, LOG_END, LogPaths, OTHER_ENDS, RUN_LOGS, STARTED_END, names, on_server};
use crate::metrics;
use crate::run::context::RunContext;
use crate::run::server::Server;
use crate::run::timing::{HARVEST_LIMIT, REMOVE_LIMIT, SURVEY_LIMIT, SWEEP_INTERVAL, USUAL_RETENTION};
use crate::run::volume::blocking::{DataRoot, SingleFlight};
use crate::tail::StartRecord;
use crate::tail::record::MAX_RECORD_BYTES;
use crate::tail::source::{OldRun, RunFileEnds, RunFiles, old_runs};

/// One cluster and namespace to sweep.
struct Sweep {
    server: Arc<Server>,
    cluster: Cluster,
    namespace: Namespace,
    /// Whose Jobs are swept.
    instance: Option<String>,
    root: DataRoot,
    /// A survey that hangs keeps one thread, however many sweeps there are.
    survey: SingleFlight,
}

/// What a sweep has removed.
#[derive(Debug, Default, Clone, Copy)]
struct Swept {
    jobs: u64,
    /// Runs whose files are gone.
    runs: u64,
}

/// Starts the sweep of this context's cluster and namespace, once per server.
pub(crate) fn start(context: &RunContext) {
    let server = context.server.clone();
    let run = &context.spec.run;
    let retention = Duration::from_secs(context.spec.settings.log_retention_sec);
    server.keep_files(&run.company_id, &run.agent_id, retention);
    if !server.begins_to_sweep(&context.cluster, &context.namespace.name) {
        return;
    }
    let sweep = Sweep {
        server,
        cluster: context.cluster.clone(),
        namespace: context.namespace.clone(),
        instance: context.spec.run.instance.clone(),
        root: context.volume.root.clone(),
        survey: SingleFlight::default(),
    };
    // The task ends with the runtime.
    tokio::spawn(async move {
        loop {
            sweep.once().await;
            sleep(SWEEP_INTERVAL).await;
        }
    });
}

impl Sweep {
    async fn once(&self) {
        let mut swept = Swept::default();
        let is_complete = self.sweep(&mut swept).await;
        let (namespace, Swept { jobs, runs }) = (&self.namespace.name, swept);
        metrics::note(|metrics| metrics.swept(is_complete, jobs, runs));
        tracing::info!(%namespace, is_complete, jobs, runs, "swept");
    }

    /// Whether all was looked at that there is.
    async fn sweep(&self, swept: &mut Swept) -> bool {
        let Ok(jobs) = self.namespace.outline_jobs(&names::adapter_selector()).await else {
            return false;
        };
        let now = Timestamp::try_from(self.server.clock.now()).unwrap_or(Timestamp::UNIX_EPOCH);
        // Only Jobs with a sidecar need them, and a Role may not grant them.
        let pods = self.namespace.outline_pods(&names::adapter_selector()).await;
        let pods = pods.unwrap_or_default();
        let is_leftover = |job: &&Job| is_forgotten(job, now) || is_kept_by_a_sidecar(job, &pods, now);
        let instance = self.instance.as_deref();
        let is_own = |job: &&Job| !names::is_of_another_instance(job.metadata.labels.as_ref(), instance);
        for job in jobs.iter().filter(is_own).filter(is_leftover) {
            if let (Some(name), Some(uid)) = (&job.metadata.name, &job.metadata.uid) {
                tracing::info!(job = %name, "deleting a finished Job that nobody harvests");
                let deleted = self.namespace.delete_job(name, Some(uid), REMOVE_LIMIT).await;
                swept.jobs += u64::from(deleted.is_ok());
            }
        }
        // Without the cluster's uid its files cannot be distinguished from those of another cluster. It is asked for
        // here, and not taken from a run: the API server may have been away then.
        let cluster = self
            .server
            .identities
            .of_namespace(&self.cluster, &self.namespace.name)
            .await;
        let old = match cluster.is_empty() {
            true => None,
            false => self.old_runs().await,
        };
        let is_complete = old.is_some();
        for run in old.into_iter().flatten() {
            swept.runs += u64::from(self.remove(run, &cluster).await);
        }
        is_complete
    }

    /// Each agent has its own time. Of one that has not run yet in this process only its runs say it, and until they
    /// are asked they have the usual one, or the longest of the others.
    async fn old_runs(&self) -> Option<Vec<OldRun>> {
        let retentions = self.server.retentions();
        let longest = retentions.values().copied().max().unwrap_or_default();
        let retention = move |company: &str, agent: &str| {
            let own = retentions.get(&(company.to_owned(), agent.to_owned()));
            own.copied().unwrap_or(longest.max(USUAL_RETENTION))
        };
        let logs = self.root.path.join(RUN_LOGS);
        let now = self.server.clock.now();
        let ends = RunFileEnds {
            started: STARTED_END,
            log: LOG_END,
            others: &OTHER_ENDS,
        };
        let old = self.survey.look(&self.root.volume, SURVEY_LIMIT, move || {
            old_runs(&logs, ends, retention, now).unwrap_or_default()
        });
        old.await
    }

    /// Removes the files of an old run if this cluster made them and its Job is gone. Whether it did.
    async fn remove(&self, run: OldRun, cluster: &str) -> bool {
        let Some((files, names_of_run)) = files_of(&self.root.path, &run) else {
            return false;
        };
        // A run that was never started has left an empty log, and a server that died while it cleaned up a note:
        // whichever cluster it was of, nobody needs that.
        if run.started {
            let (reader, name) = (files.clone(), names_of_run.started.clone());
            let read = move || reader.read_small(&name, MAX_RECORD_BYTES);
            let text = self.root.volume.within(REMOVE_LIMIT, read).await;
            let text = text.and_then(Result::ok).flatten().unwrap_or_default();
            let record = StartRecord::parse(&text, &run.run, &self.namespace.name, cluster);
            let Some(record) = record else { return false };
            let keep = record.keep.map(Duration::from_secs).unwrap_or_default();
            if run.age < keep && !self.server.knows_retention(&run.company, &run.agent) {
                return false;
            }
        }
        let name = names::job_name(&run.agent, &run.run);
        if !matches!(find(&self.namespace.jobs, &name).await, Ok(None)) {
            return false;
        }
        tracing::info!(run = %run.run, "removing the files of a run whose Job is gone");
        let remove = move || files.remove(names_of_run.all()).is_none();
        self.root.volume.within(REMOVE_LIMIT, remove).await == Some(true)
    }
}

fn files_of(root: &Path, run: &OldRun) -> Option<(RunFiles, FileNames)> {
    let paths = LogPaths::new(&run.company, &run.agent, &run.run).ok()?;
    let log = on_server(&paths.log, &root.to_string_lossy());
    Some((RunFiles::new(root, Path::new(&log))?, paths.names))
}

/// Whether the Job ended long ago and has a TTL, so was not made to stay.
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
    let limit = HARVEST_LIMIT.max(Duration::from_secs(u64::try_from(ttl).unwrap_or_default()));
    job_end(job).is_some()
        && ended.is_some_and(|ended| now.duration_since(ended).as_secs() >= limit.as_secs().cast_signed())
}

/// Whether a sidecar keeps the Job running although its agent ended long ago. Such a Job must have a TTL, too.
fn is_kept_by_a_sidecar(job: &Job, pods: &[Pod], now: Timestamp) -> bool {
    let has_ttl = job
        .spec
        .as_ref()
        .is_some_and(|spec| spec.ttl_seconds_after_finished.is_some());
    let ended = |pod: &Pod| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        let agent = statuses
            .iter()
            .find(|status| status.name == names::OPENCODE_CONTAINER)?;
        Some(agent.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0)
    };
    let long_ago = |at: Timestamp| now.duration_since(at).as_secs() >= HARVEST_LIMIT.as_secs().cast_signed();
    let mut of_job = pods.iter().filter(|pod| is_of(pod, job)).peekable();
    job_end(job).is_none()
        && has_ttl
        && of_job.peek().is_some()
        && of_job.all(|pod| ended(pod).is_some_and(long_ago))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_that_a_sidecar_keeps_is_forgotten_when_its_agent_ended_long_ago() {
        let job = |ttl: Option<i32>| -> Job {
            serde_json::from_value(json!({"metadata": {"uid": "u"},
                "spec": {"template": {"spec": {"containers": []}}, "ttlSecondsAfterFinished": ttl}}))
            .expect("a job")
        };
        let pod = |state: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"metadata": {"ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}]}, "status": {"containerStatuses": [
                {"name": "opencode", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}))
            .expect("a pod")
        };
        let ended = pod(json!({"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T10:00:00Z"}}));
        let running = pod(json!({"running": {}}));
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let (soon, late) = (at("2026-01-01T10:14:59Z"), at("2026-01-01T10:15:00Z"));
        let kept = |ttl, pods: &[Pod], now| is_kept_by_a_sidecar(&job(ttl), pods, now);
        assert!(kept(Some(300), std::slice::from_ref(&ended), late));
        assert!(
            !kept(Some(300), std::slice::from_ref(&ended), soon),
            "its harvest may be on"
        );
        assert!(!kept(None, std::slice::from_ref(&ended), late), "retained");
        assert!(!kept(Some(300), &[running], late), "at work");
        assert!(!kept(Some(300), &[], late), "nothing is known");
    }

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
