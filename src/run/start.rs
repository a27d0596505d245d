//! Everything before the Job exists, and its creation. Whatever fails here leaves nothing behind.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::database;
use super::failure::{Failure, INVALID_REQUEST, SELF_POD_FAILED, SHARED_VOLUME_MISSING};
use super::guard::{Guard, Turn, cancelled};
use super::live::{FileNames, Limits, Live};
use super::request::{RunRequest, of_config};
use super::stop::Stop;
use super::submit::submit;
use super::voice::{Kind, Voice};
use crate::cluster::verbs::Namespace;
use crate::cluster::{Cluster, View, host_pod};
use crate::config::RunSpec;
use crate::manifest::{self, LogPaths, Manifest, names};
use crate::tail::source::{FileSource, Place, RunFiles};
use crate::tail::{Hub, Pace, Tail};

/// A run whose Job exists and whose files are followed.
pub(super) struct Started {
    /// The run as configured.
    pub spec: RunSpec,
    /// The Job and its files.
    pub live: Live,
    /// opencode's stdout.
    pub stdout: Tail,
    /// opencode's stderr.
    pub stderr: Tail,
    /// Keeps other runs of the agent waiting.
    pub turn: Turn,
}

/// From a checked request to a running Job.
pub(super) async fn start(
    mut request: RunRequest,
    voice: &Voice,
    stop: Stop,
    hub: &Hub,
) -> Result<Started, Failure> {
    let connected = tokio::select! {
        connected = connect(&mut request) => connected?,
        reason = stop.asked() => return Err(cancelled(&reason)),
    };
    let (cluster, namespace) = connected;
    let mut spec = RunSpec::from_request(&request.render).map_err(of_config)?;
    if spec.self_pod.pvc_claim_name.is_none() {
        return Err(Failure::before_start(
            SHARED_VOLUME_MISSING,
            "the server's pod mounts no PersistentVolumeClaim at /paperclip, so that a Job could not share its log with \
             it. Mount a ReadWriteMany claim at /paperclip in the container `paperclip`",
        ));
    }
    let selector = names::agent_selector(&spec.agent_id).ok_or_else(|| {
        Failure::of_input(
            INVALID_REQUEST,
            format!("agent id {:?} gives no label value", spec.agent_id),
        )
    })?;
    let guard = Guard {
        namespace: &namespace,
        agent: &spec.agent_id,
        selector: &selector,
        limit: Duration::from_secs(spec.guard_wait_sec),
        stop: &stop,
    };
    let turn = guard.wait(voice).await?;
    spec.agent_db = database::prepare(&spec, &cluster, &namespace).await?;
    let nonce = nonce();
    spec.nonce = Some(nonce.clone());
    let rendered = manifest::render(&spec).map_err(|error| of_render(&error))?;
    let files = Files::prepare(&request, &spec, &nonce).await?;
    if let Some(reason) = stop.reason() {
        files.remove().await;
        return Err(cancelled(&reason));
    }
    let secret = rendered.prompt_secret.as_ref().map(|secret| secret.name.clone());
    match launch(&spec, rendered, &namespace, voice).await {
        Ok((job_name, job_uid)) => {
            let view = View::shared(
                &cluster,
                &namespace,
                &format!("{}={}", names::ADAPTER_TYPE, names::ADAPTER),
            );
            let (stdout, stderr) = files.follow(hub)?;
            let live = Live {
                namespace,
                view,
                run_id: spec.run_id.clone(),
                job_name,
                job_uid,
                secret,
                files: files.files,
                names: files.names,
                deadline: spec
                    .timeout_sec
                    .map(|limit| Instant::now() + Duration::from_secs(limit + spec.grace_sec)),
                limits: Limits {
                    schedule: Duration::from_secs(spec.schedule_timeout_sec),
                    start: Duration::from_secs(spec.start_timeout_sec),
                    outage: Duration::from_secs(spec.outage_timeout_sec),
                },
                stop,
            };
            Ok(Started {
                spec,
                live,
                stdout,
                stderr,
                turn,
            })
        }
        Err(failure) => {
            files.remove().await;
            Err(failure)
        }
    }
}

/// A client, and what the server's own pod says.
async fn connect(request: &mut RunRequest) -> Result<(Cluster, Namespace), Failure> {
    let failed =
        |error: crate::cluster::ClusterError| Failure::before_start(SELF_POD_FAILED, error.to_string());
    let cluster = Cluster::connect(request.access()).await.map_err(failed)?;
    let own_namespace = request
        .environment
        .namespace
        .clone()
        .filter(|name| !name.is_empty());
    let own_namespace = own_namespace.unwrap_or_else(|| cluster.default_namespace.clone());
    let own_pod = request.environment.own_pod()?;
    request.render.self_pod = host_pod::introspect(&cluster, &own_namespace, own_pod)
        .await
        .map_err(failed)?;
    let spec = RunSpec::from_request(&request.render).map_err(of_config)?;
    let namespace = Namespace::new(&cluster, &spec.namespace);
    Ok((cluster, namespace))
}

async fn launch(
    spec: &RunSpec,
    rendered: Manifest,
    namespace: &Namespace,
    voice: &Voice,
) -> Result<(String, String), Failure> {
    for warning in &rendered.warnings {
        voice.warn(warning).await;
    }
    let secret = match &rendered.prompt_secret {
        Some(secret) => Some(manifest::prompt_secret(spec, &secret.name).map_err(|error| of_render(&error))?),
        None => None,
    };
    let timeout = spec
        .timeout_sec
        .map_or("none".to_owned(), |seconds| format!("{seconds}s"));
    let meta = json!({
        "adapterType": "opencode_k8s",
        "command": format!("kubectl job/{}", rendered.job_name),
        "cwd": rendered.namespace,
        "commandArgs": rendered.opencode_args,
        "commandNotes": [
            format!("Image: {}", spec.image),
            format!("Namespace: {}", rendered.namespace),
            format!("Timeout: {timeout}"),
        ],
        "promptMetrics": rendered.prompt_metrics,
    });
    voice.tell(Kind::Meta, meta).await;
    voice.tell(Kind::Dispatch, json!({})).await;
    let submitted = submit(namespace, &rendered.job, secret).await?;
    let (name, ns) = (&submitted.name, &namespace.name);
    voice
        .status(format!(
            "Created K8s Job: {name} in namespace {ns} (deadline: {timeout})"
        ))
        .await;
    voice
        .status(format!("Waiting for pod to be scheduled (job: {name})..."))
        .await;
    Ok((submitted.name, submitted.uid))
}

fn of_render(error: &manifest::ManifestError) -> Failure {
    Failure::of_input(error.code(), error.to_string())
}

/// The run's files on the server's side.
struct Files {
    files: RunFiles,
    names: FileNames,
    shown: [String; 2],
    by_server: bool,
}

impl Files {
    /// Makes the log folder and the empty files before the Job exists.
    async fn prepare(request: &RunRequest, spec: &RunSpec, nonce: &str) -> Result<Self, Failure> {
        let missing = |message: String| Failure::before_start(SHARED_VOLUME_MISSING, message);
        let paths = LogPaths::new(&spec.company_id, &spec.agent_id, &spec.run_id)
            .map_err(|error| missing(error.to_string()))?;
        let root = request.data_root();
        let here = paths.on_server(&root.to_string_lossy());
        let (log, stderr) = (PathBuf::from(&here.log), PathBuf::from(&here.stderr));
        let shown = [log.display().to_string(), stderr.display().to_string()];
        let files = RunFiles::new(&root, &log)
            .ok_or_else(|| missing(format!("{} is not below the data root", shown[0])))?;
        let names = file_names(&paths);
        let owner = request.environment.owner()?;
        let (preparing, made, content) = (files.clone(), names.clone(), nonce.to_owned());
        let prepared = tokio::task::spawn_blocking(move || {
            let wanted: [(&str, &[u8]); 3] = [
                (&made.log, b""),
                (&made.stderr, b""),
                (&made.nonce, content.as_bytes()),
            ];
            preparing.prepare(owner, &wanted)
        });
        let prepared = prepared.await.map_err(|error| missing(error.to_string()))?;
        let prepared = prepared.map_err(|error| missing(error.to_string()))?;
        Ok(Self {
            files,
            names,
            shown,
            by_server: prepared.by_server,
        })
    }

    fn follow(&self, hub: &Hub) -> Result<(Tail, Tail), Failure> {
        // The pod is alive: the file may be late for any time, only the end of the run ends its tail.
        let pace = Pace {
            appear: None,
            ..Pace::default()
        };
        let [log, stderr] = &self.shown;
        let follow = |name: &str, shown: &str| {
            let place: Place = self.files.place(name);
            hub.follow(
                Box::new(FileSource::new(place, self.by_server)),
                shown.to_owned(),
                pace,
            )
        };
        let failed = |error: std::io::Error| {
            Failure::of_input(
                "k8s_log_incomplete",
                format!("no thread to read the log with: {error}"),
            )
        };
        Ok((
            follow(&self.names.log, log).map_err(failed)?,
            follow(&self.names.stderr, stderr).map_err(failed)?,
        ))
    }

    async fn remove(&self) {
        let (files, names) = (self.files.clone(), self.names.clone());
        let _ = tokio::task::spawn_blocking(move || files.remove(names.all())).await;
    }
}

fn file_names(paths: &LogPaths) -> FileNames {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    FileNames {
        log: name(&paths.log),
        stderr: name(&paths.stderr),
        started: name(&paths.started),
        end: name(&paths.end),
        nonce: name(&paths.nonce),
    }
}

/// Random enough to tell volumes apart: the process's own random hash keys.
fn nonce() -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}
