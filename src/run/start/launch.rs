//! A Job of our own: files, manifest, creation, gate. Whatever fails here leaves nothing behind.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::config::{Json as _, RunSpec};
use crate::manifest::{self, Manifest};
use crate::run::attached::AttachedJob;
use crate::run::context::{JobIdentity, RunContext};
use crate::run::failure::{Failure, GUARD_UNREACHABLE};
use crate::run::host::Kind;
use crate::run::host::log::HostLog;
use crate::run::host::progress::Phase;
use crate::run::seal::Start;
use crate::run::start::database;
use crate::run::start::ledger::Ledger;
use crate::run::start::start_gate::may_go_on;
use crate::run::start::submit::submit;
use crate::run::volume::folder::{Gate, RunFolder, nonce};

/// Starts a Job; `None` when another Job of the agent was there first. What it makes stands in the ledger.
pub(crate) async fn launch(
    context: &RunContext,
    ledger: &Ledger,
    host_log: &HostLog,
) -> Result<Option<AttachedJob>, Failure> {
    let mut spec = context.spec.clone();
    let job_name = manifest::names::job_name(&spec.run.agent_id, &spec.run.id);
    // Whoever may see Jobs and pods sees neither keys nor prompts.
    spec.run.run_secret_name = Some(format!("{job_name}-run"));
    // What no Job can have is refused before a claim or a folder is made for it.
    manifest::render(&spec).map_err(|error| of_render(&error))?;
    spec.run.agent_db = database::prepare(&spec, &context.cluster, &context.namespace).await?;
    let mut folder = RunFolder::of_run(&context.volume, &spec, &spec.run.id)?;
    let paths = manifest::LogPaths::new(&spec.run.company_id, &spec.run.agent_id, &spec.run.id)
        .map_err(|error| of_render(&error.into()))?;
    let more = manifest::folders_to_make(&spec, &paths);
    folder.prepare(&spec.run.agent_db, more).await?;
    ledger.folder(&folder);
    // Without a log of the server's there is no gate either: the pod makes its files itself.
    spec.run.nonce = folder.by_server.then(|| sealed_nonce(context, &spec));
    let rendered = manifest::render(&spec).map_err(|error| of_render(&error))?;
    let secret = manifest::run_secret(&spec, &rendered);
    announce(&spec, &rendered, host_log).await;
    let (stdout, stderr) = folder.follow(&context.server.hub)?;
    host_log.phase(Phase::Creating);
    host_log.tell(Kind::Dispatch, json!({})).await;
    // The Job's own deadline may run from here: the answer to the create may come late.
    let asked_for = Instant::now();
    let is_gated = spec.run.nonce.is_some();
    let created = submit(&context.namespace, &rendered.job, secret, is_gated, ledger).await?;
    for warning in &created.warnings {
        host_log.warn(&format!("the API server warns: {warning}")).await;
    }
    let identity = JobIdentity {
        name: created.name.clone(),
        uid: created.uid.clone(),
        secret: rendered.secret.as_ref().map(|secret| secret.name.clone()),
        warnings: created.warnings.clone(),
        files: folder.files.clone(),
        names: folder.names.clone(),
        asked_for: Some(asked_for),
        holder: None,
        log_by_server: folder.by_server,
        without_job: false,
    };
    let handle = context.handle(identity, &spec);
    let may_go_on = may_go_on(context, &created).await?;
    if !may_go_on && (!is_gated || folder.close_gate().await?) {
        ledger.gate_is(Gate::Closed);
        return Ok(None);
    }
    // A Job that has to step back and that another server has let go on is followed as well, to whatever is left of it.
    if let Some(nonce) = spec.run.nonce.as_deref().filter(|_| may_go_on) {
        ledger.gate_is(Gate::Open);
        if !folder.open_gate(nonce).await? {
            let message = "another server has given this Job up, by an earlier start of the same run";
            return Err(Failure::before_start(GUARD_UNREACHABLE, message));
        }
        tracing::info!("gate opened");
    }
    spec.run.forget_texts();
    Ok(Some(AttachedJob {
        spec: Box::new(spec),
        handle,
        stdout,
        stderr,
    }))
}

/// What opens the gate, and later tells a server that this run was started by one.
fn sealed_nonce(context: &RunContext, spec: &RunSpec) -> String {
    let members = manifest::start_members(spec);
    let made = context.server.clock.now().duration_since(UNIX_EPOCH);
    let start = Start {
        company: &spec.run.company_id,
        agent: &spec.run.agent_id,
        run: &spec.run.id,
        task: members.task.as_deref().unwrap_or_default(),
        cwd: members.cwd.unwrap_or_default(),
    };
    context
        .seal
        .nonce(&nonce(), made.unwrap_or_default().as_secs(), &start)
}

/// The host leases a sandbox for a run whose agent has such an environment; here every run has a Job.
fn leased_environment(context: &Value) -> Option<String> {
    let driver = context.member("paperclipEnvironment")?.trimmed("driver")?;
    let name: String = driver.chars().take(60).collect();
    (driver != "local").then(|| {
        format!(
            "Warning: Paperclip leased an environment ({name}) for this run, and it is not used: the agent works in a \
             Job. Set the agent's environment to local"
        )
    })
}

/// What the host shows about the invocation.
async fn announce(spec: &RunSpec, rendered: &Manifest, host_log: &HostLog) {
    for warning in leased_environment(&spec.run.context)
        .iter()
        .chain(&rendered.warnings)
    {
        host_log.warn(warning).await;
    }
    let meta = json!({
        "adapterType": "opencode_k8s",
        "command": format!("kubectl job/{}", rendered.job_name),
        "cwd": spec.run.working_dir,
        "commandArgs": rendered.opencode_args,
        "commandNotes": [
            format!("Image: {}", spec.image()),
            format!("Namespace: {}", rendered.namespace),
            format!("Timeout: {}", deadline(spec)),
        ],
        "promptMetrics": rendered.prompt_metrics,
        "resumesSession": spec.run.resume.session_id.is_some(),
    });
    host_log.tell(Kind::Meta, meta).await;
}

/// What the host reads of a Job that was just made. Said when somebody follows the Job: a host that is slow to take a
/// line must not stand between a cancel and the agent that works.
pub(crate) async fn say_created(created: &AttachedJob, host_log: &HostLog) {
    let spec = &created.spec;
    let (name, namespace) = (&created.handle.job_name, spec.namespace());
    let deadline = deadline(spec);
    host_log.event(json!({
        "eventType": "opencode_k8s.job",
        "stream": "system",
        "level": "info",
        "message": format!("Job {name} was created in namespace {namespace}"),
        "payload": {"job": name, "namespace": namespace, "image": spec.image(), "timeoutSec": spec.settings.timeout_sec},
    }));
    host_log
        .status(format!(
            "Created K8s Job: {name} in namespace {namespace} (deadline: {deadline})"
        ))
        .await;
    host_log
        .status("Waiting for pod to be scheduled...".to_owned())
        .await;
}

fn deadline(spec: &RunSpec) -> String {
    spec.settings
        .timeout_sec
        .map_or("none".to_owned(), |seconds| format!("{seconds}s"))
}

fn of_render(error: &manifest::ManifestError) -> Failure {
    Failure::of_input(error.code(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_environment_is_said_not_to_be_used() {
        let said = |driver: Value| leased_environment(&json!({"paperclipEnvironment": {"driver": driver}}));
        assert!(
            said(json!(" sandbox "))
                .is_some_and(|text| text.contains("an environment (sandbox) for this run"))
        );
        for driver in [json!("local"), json!(" "), json!(null), json!(5)] {
            assert_eq!(said(driver), None);
        }
        assert_eq!(
            leased_environment(&json!({"paperclipEnvironment": "sandbox"})),
            None
        );
    }
}
