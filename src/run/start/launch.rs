//! A Job of our own: files, manifest, creation, gate. Whatever fails here leaves nothing behind.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::config::RunSpec;
use crate::manifest::{self, Manifest};
use crate::run::admit::start_gate::may_go_on;
use crate::run::attached::AttachedJob;
use crate::run::context::{JobIdentity, RunContext, unless_stopped};
use crate::run::failure::{CANCELLED, Failure, cancelled};
use crate::run::host::Kind;
use crate::run::host::log::HostLog;
use crate::run::host::progress::Phase;
use crate::run::job::handle::JobHandle;
use crate::run::start::database;
use crate::run::start::submit::{CreatedJob, submit};
use crate::run::volume::folder::{RunFolder, nonce};
use crate::tail::Hub;

/// A Job that must not run is deleted within this time; its pod waits a minute at its gate and then ends by itself.
const WITHDRAW: Duration = Duration::from_secs(20);

/// Starts a Job; `None` when another Job of the agent was there first.
pub(crate) async fn launch(
    context: &RunContext,
    host_log: &HostLog,
    hub: &Hub,
) -> Result<Option<AttachedJob>, Failure> {
    let mut spec = context.spec.clone();
    let database = database::prepare(&spec, &context.cluster, &context.namespace);
    spec.agent_db = unless_stopped(&context.stop, database).await??;
    let folder = unless_stopped(
        &context.stop,
        RunFolder::prepare(&context.root, context.owner, &spec),
    )
    .await??;
    let attached = in_folder(context, spec, &folder, host_log, hub).await;
    if !matches!(attached, Ok(Some(_))) {
        folder.remove().await;
    }
    attached
}

async fn in_folder(
    context: &RunContext,
    mut spec: RunSpec,
    folder: &RunFolder,
    host_log: &HostLog,
    hub: &Hub,
) -> Result<Option<AttachedJob>, Failure> {
    // Without a log of the server's there is no gate either: the pod makes its files itself.
    spec.nonce = folder.by_server.then(nonce);
    let rendered = manifest::render(&spec).map_err(|error| of_render(&error))?;
    let secret = match &rendered.prompt_secret {
        Some(secret) => {
            Some(manifest::prompt_secret(&spec, &secret.name).map_err(|error| of_render(&error))?)
        }
        None => None,
    };
    let secret_name = rendered.prompt_secret.as_ref().map(|secret| secret.name.clone());
    announce(&spec, &rendered, host_log).await;
    let (stdout, stderr) = folder.follow(hub)?;
    may_begin(context)?;
    host_log.phase(Phase::Creating);
    host_log.tell(Kind::Dispatch, json!({})).await;
    // The host may have taken its time.
    may_begin(context)?;
    // A lost answer makes it late to hear that the Job is there: its own clock may run since now.
    let asked_for = Instant::now();
    let created = tokio::select! {
        biased;
        created = submit(&context.namespace, &rendered.job, secret, spec.nonce.is_some()) => created?,
        reason = context.stop.asked() => return Err(withdrawn(context, &rendered.job_name, &reason, spec.nonce.is_some()).await),
    };
    let handle = context.handle(
        JobIdentity {
            name: created.name.clone(),
            uid: created.uid.clone(),
            secret: secret_name,
            files: folder.files.clone(),
            names: folder.names.clone(),
            asked_for: Some(asked_for),
            holder: None,
            without_job: false,
        },
        &spec,
    );
    if !pass_gate(context, &created, folder, spec.nonce.as_deref(), &handle).await? {
        host_log
            .status("Another server started a Job of this agent at the same moment; this one steps back")
            .await;
        return Ok(None);
    }
    say_created(&spec, &created, host_log).await;
    Ok(Some(AttachedJob {
        spec,
        handle,
        stdout,
        stderr,
    }))
}

/// Nothing was created yet, and nobody asked to stop.
fn may_begin(context: &RunContext) -> Result<(), Failure> {
    context
        .stop
        .reason()
        .map_or(Ok(()), |reason| Err(cancelled(&reason)))
}

/// Cancelled while the API server was asked for the Job. It may still make it: then it is removed here, and its pod
/// never passes its gate.
async fn withdrawn(context: &RunContext, job_name: &str, reason: &str, gated: bool) -> Failure {
    let deleted = context
        .namespace
        .delete_job(job_name, None, WITHDRAW)
        .await
        .is_ok();
    Failure {
        nothing_started: deleted && gated,
        ..cancelled(reason)
    }
}

/// Opens the gate, or takes the Job back.
async fn pass_gate(
    context: &RunContext,
    created: &CreatedJob,
    folder: &RunFolder,
    nonce: Option<&str>,
    handle: &JobHandle,
) -> Result<bool, Failure> {
    let passed = async {
        let may = unless_stopped(&context.stop, may_go_on(context, created)).await??;
        if let Some(nonce) = nonce.filter(|_| may) {
            folder.open_gate(nonce).await?;
        }
        Ok(may)
    };
    let passed = passed.await;
    if passed == Ok(true) {
        return passed;
    }
    let gone = handle.delete_job(WITHDRAW).await.is_ok() && handle.pods_gone(WITHDRAW).await;
    handle.job_gone_within(WITHDRAW).await;
    passed.map_err(|failure| {
        // Behind a closed gate no agent starts, whatever became of the pod; a cancel promises that the pod is gone.
        let proven = gone || (nonce.is_some() && failure.code != CANCELLED);
        Failure {
            nothing_started: failure.nothing_started && proven,
            ..failure
        }
    })
}

/// What the host shows about the invocation.
async fn announce(spec: &RunSpec, rendered: &Manifest, host_log: &HostLog) {
    for warning in &rendered.warnings {
        host_log.warn(warning).await;
    }
    let meta = json!({
        "adapterType": "opencode_k8s",
        "command": format!("kubectl job/{}", rendered.job_name),
        "cwd": rendered.namespace,
        "commandArgs": rendered.opencode_args,
        "commandNotes": [
            format!("Image: {}", spec.image),
            format!("Namespace: {}", rendered.namespace),
            format!("Timeout: {}", deadline(spec)),
        ],
        "promptMetrics": rendered.prompt_metrics,
    });
    host_log.tell(Kind::Meta, meta).await;
}

async fn say_created(spec: &RunSpec, created: &CreatedJob, host_log: &HostLog) {
    let (name, namespace) = (&created.name, &spec.namespace);
    let deadline = deadline(spec);
    host_log.event(json!({
        "eventType": "opencode_k8s.job",
        "stream": "system",
        "level": "info",
        "message": format!("Job {name} was created in namespace {namespace}"),
        "payload": {"job": name, "namespace": namespace, "image": spec.image, "timeoutSec": spec.timeout_sec},
    }));
    host_log
        .status(format!(
            "Created K8s Job: {name} in namespace {namespace} (deadline: {deadline})"
        ))
        .await;
    host_log
        .status(format!("Waiting for pod to be scheduled (job: {name})..."))
        .await;
}

fn deadline(spec: &RunSpec) -> String {
    spec.timeout_sec
        .map_or("none".to_owned(), |seconds| format!("{seconds}s"))
}

fn of_render(error: &manifest::ManifestError) -> Failure {
    Failure::of_input(error.code(), error.to_string())
}
