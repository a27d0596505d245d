//! A run that is watched to its end against an API server inside the test, on a stopped clock.

use std::sync::Arc;
use std::time::Duration;

use opencode_k8s::manifest::FileNames;
use opencode_k8s::run::clock::Clock;
use opencode_k8s::run::host::SilentHost;
use opencode_k8s::run::host::log::HostLog;
use opencode_k8s::run::job::end::RunEnd;
use opencode_k8s::run::job::handle::{JobHandle, Limits};
use opencode_k8s::run::seal::Seal;
use opencode_k8s::run::stop::{Stopper, stop_signal};
use opencode_k8s::run::supervise::deliver::OutputState;
use opencode_k8s::run::supervise::watch_job;
use opencode_k8s::run::volume::blocking::{SingleFlight, Volume};
use opencode_k8s::tail::source::{Ownership, RunFiles};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::support::api::ApiServer;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const OUTAGE: Duration = Duration::from_secs(600);

/// A run that is being watched, with its API server.
pub(crate) struct Watched {
    pub(crate) api: ApiServer,
    ended: JoinHandle<(RunEnd, Duration)>,
    _stopper: Stopper,
    pub(crate) folder: tempfile::TempDir,
}

impl Watched {
    /// Whether it has ended, when everybody has had a turn.
    pub(crate) async fn is_over(&self) -> bool {
        sleep(Duration::from_millis(1)).await;
        self.ended.is_finished()
    }

    pub(crate) async fn end(self) -> (RunEnd, u64) {
        let (end, after) = self.ended.await.expect("an end");
        (end, after.as_secs())
    }
}

pub(crate) fn files(folder: &tempfile::TempDir) -> (RunFiles, FileNames) {
    let files = RunFiles::new(folder.path(), &folder.path().join("r.pod.ndjson")).expect("files");
    (files, FileNames::of_run("r"))
}

pub(crate) fn handle(
    api: &ApiServer,
    folder: &tempfile::TempDir,
    timeout: Option<u64>,
) -> (JobHandle, Stopper) {
    let (stopper, stop) = stop_signal();
    let (files, names) = files(folder);
    let (namespace, view) = api.view();
    let after = |seconds| Instant::now() + Duration::from_secs(seconds);
    let handle = JobHandle {
        seal: seal(),
        clock: Clock::default(),
        status: view.subscribe("job"),
        namespace,
        view,
        run_id: "r".to_owned(),
        job_name: "job".to_owned(),
        job_uid: "uid".to_owned(),
        warnings: Vec::new(),
        secret: None,
        files,
        names,
        owner: Ownership::default(),
        limits: Limits {
            job_deadline: timeout.map(after),
            deadline: timeout.map(|seconds| after(seconds + 60)),
            schedule: Duration::from_secs(120),
            start: Duration::from_secs(600),
            outage: OUTAGE,
            silence: None,
        },
        stop,
        volume: Volume::default(),
        single_flight: SingleFlight::default(),
        holder: None,
        log_by_server: false,
        without_job: false,
        has_task: true,
    };
    (handle, stopper)
}

/// Watches until the run is over; its log is over as soon as it is to finish.
pub(crate) async fn watch_to_the_end(handle: &JobHandle, host_log: &HostLog) -> RunEnd {
    let (output, mut seen) = tokio::sync::watch::channel(OutputState::default());
    watch_job(handle, host_log, &mut seen, |_| {
        output.send_modify(|state| state.is_over = true);
    })
    .await
}

pub(crate) fn watch(api: ApiServer, timeout: Option<u64>) -> Watched {
    let folder = tempfile::tempdir().expect("a folder");
    let (handle, stopper) = handle(&api, &folder, timeout);
    let since = Instant::now();
    let ended = tokio::spawn(async move {
        let (host_log, _) = HostLog::new(Arc::new(SilentHost), handle.stop.clone());
        (watch_to_the_end(&handle, &host_log).await, since.elapsed())
    });
    Watched {
        api,
        ended,
        _stopper: stopper,
        folder,
    }
}

pub(crate) fn job(conditions: Value) -> Value {
    json!({"metadata": {"name": "job", "namespace": "paperclip", "uid": "uid"}, "status": {"conditions": conditions}})
}

pub(crate) fn pod(meta: Value, status: Value) -> Value {
    let mut pod = json!({"metadata": {"name": "job-1", "namespace": "paperclip", "uid": "pod-uid",
        "labels": {"job-name": "job"},
        "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "uid"}]},
        "spec": {"nodeName": "node", "containers": []}, "status": status});
    for (key, value) in meta.as_object().into_iter().flatten() {
        pod["metadata"][key] = value.clone();
    }
    pod
}

pub(crate) fn container(state: &Value) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "opencode", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": state}]})
}

pub(crate) fn running() -> Value {
    container(&json!({"running": {}}))
}

pub(crate) fn is_being_deleted() -> Value {
    json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30})
}

pub(crate) fn at_work() -> ApiServer {
    ApiServer::with(&[job(json!([]))], &[pod(json!({}), running())])
}

/// The seal of the handles here.
pub(crate) fn seal() -> Seal {
    Seal::new(&"k".repeat(32))
}
