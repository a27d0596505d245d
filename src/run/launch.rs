//! A Job of our own: files, manifest, creation, gate. Whatever fails here leaves nothing behind.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::database;
use super::failure::{CANCELLED, Failure, cancelled};
use super::folder::{RunFolder, nonce};
use super::gate::may_go_on;
use super::live::Live;
use super::news::Place;
use super::site::{JobOfRun, Site, unless_stopped};
use super::start::Begun;
use super::submit::{Submitted, submit};
use super::voice::{Kind, Voice};
use crate::config::RunSpec;
use crate::manifest::{self, Manifest};
use crate::tail::Hub;

/// A Job that must not run is deleted within this time; its pod waits a minute at its gate and then ends by itself.
const WITHDRAW: Duration = Duration::from_secs(20);

/// Starts a Job; `None` when another Job of the agent was there first.
pub(super) async fn launch(site: &Site, voice: &Voice, hub: &Hub) -> Result<Option<Begun>, Failure> {
    let mut spec = site.spec.clone();
    let database = database::prepare(&spec, &site.cluster, &site.namespace);
    spec.agent_db = unless_stopped(&site.stop, database).await??;
    let folder = unless_stopped(&site.stop, RunFolder::prepare(&site.root, site.owner, &spec)).await??;
    let begun = in_folder(site, spec, &folder, voice, hub).await;
    if !matches!(begun, Ok(Some(_))) {
        folder.remove().await;
    }
    begun
}

async fn in_folder(
    site: &Site,
    mut spec: RunSpec,
    folder: &RunFolder,
    voice: &Voice,
    hub: &Hub,
) -> Result<Option<Begun>, Failure> {
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
    announce(&spec, &rendered, voice).await;
    let (stdout, stderr) = folder.follow(hub)?;
    may_begin(site)?;
    voice.place(Place::Creating);
    voice.tell(Kind::Dispatch, json!({})).await;
    // The host may have taken its time.
    may_begin(site)?;
    // A lost answer makes it late to hear that the Job is there: its own clock may run since now.
    let asked_for = Instant::now();
    let submitted = tokio::select! {
        biased;
        submitted = submit(&site.namespace, &rendered.job, secret, spec.nonce.is_some()) => submitted?,
        reason = site.stop.asked() => return Err(withdrawn(site, &rendered.job_name, &reason, spec.nonce.is_some()).await),
    };
    let live = site.live(
        JobOfRun {
            name: submitted.name.clone(),
            uid: submitted.uid.clone(),
            secret: secret_name,
            files: folder.files.clone(),
            names: folder.names.clone(),
            asked_for: Some(asked_for),
            heir: None,
            without_job: false,
        },
        &spec,
    );
    if !pass_gate(site, &submitted, folder, spec.nonce.as_deref(), &live).await? {
        voice
            .status("Another server started a Job of this agent at the same moment; this one steps back")
            .await;
        return Ok(None);
    }
    say_created(&spec, &submitted, voice).await;
    Ok(Some(Begun {
        spec,
        live,
        stdout,
        stderr,
    }))
}

/// Nothing was created yet, and nobody asked to stop.
fn may_begin(site: &Site) -> Result<(), Failure> {
    site.stop
        .reason()
        .map_or(Ok(()), |reason| Err(cancelled(&reason)))
}

/// Cancelled while the API server was asked for the Job. It may still make it: then it is removed here, and its pod
/// never passes its gate.
async fn withdrawn(site: &Site, job_name: &str, reason: &str, gated: bool) -> Failure {
    let deleted = site.namespace.delete_job(job_name, None, WITHDRAW).await.is_ok();
    Failure {
        nothing_started: deleted && gated,
        ..cancelled(reason)
    }
}

/// Opens the gate, or takes the Job back.
async fn pass_gate(
    site: &Site,
    submitted: &Submitted,
    folder: &RunFolder,
    nonce: Option<&str>,
    live: &Live,
) -> Result<bool, Failure> {
    let passed = async {
        let may = unless_stopped(&site.stop, may_go_on(site, submitted)).await??;
        if let Some(nonce) = nonce.filter(|_| may) {
            folder.open_gate(nonce).await?;
        }
        Ok(may)
    };
    let passed = passed.await;
    if passed == Ok(true) {
        return passed;
    }
    let gone = live.delete_job(WITHDRAW).await.is_ok() && live.pods_gone(WITHDRAW).await;
    live.job_gone_within(WITHDRAW).await;
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
async fn announce(spec: &RunSpec, rendered: &Manifest, voice: &Voice) {
    for warning in &rendered.warnings {
        voice.warn(warning).await;
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
    voice.tell(Kind::Meta, meta).await;
}

async fn say_created(spec: &RunSpec, submitted: &Submitted, voice: &Voice) {
    let (name, namespace) = (&submitted.name, &spec.namespace);
    let deadline = deadline(spec);
    voice.event(json!({
        "eventType": "opencode_k8s.job",
        "stream": "system",
        "level": "info",
        "message": format!("Job {name} was created in namespace {namespace}"),
        "payload": {"job": name, "namespace": namespace, "image": spec.image, "timeoutSec": spec.timeout_sec},
    }));
    voice
        .status(format!(
            "Created K8s Job: {name} in namespace {namespace} (deadline: {deadline})"
        ))
        .await;
    voice
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
