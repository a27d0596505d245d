//! Adopts a Job that this process did not create: follows its log from the first byte, by what the Job says about its
//! run.

use crate::cluster::conditions::is_owned_by;
use crate::config::RunSpec;
use crate::manifest::job_record::JobRecord;
use crate::manifest::names::prompt_hash;
use crate::run::attached::{AttachedJob, Role};
use crate::run::context::{JobIdentity, RunContext};
use crate::run::failure::{Failure, GUARD_UNREACHABLE};
use crate::run::job::agent_pods::list_agent_pods;
use crate::run::job::at_work::has_started;
use crate::run::seal::Kind;
use crate::run::timing::GATE_LIST;
use crate::run::volume::folder::{Gate, RunFolder, nonce};

/// Takes the Job over; `None` when another server has harvested it already. A stop only shortens the looks at the
/// volume: a running Job is adopted all the same, and then ended as every run that stops.
///
/// # Errors
/// When its files cannot be followed, or the volume does not say whether an ended one was harvested.
pub(crate) async fn adopt(
    context: &RunContext,
    job_record: &JobRecord,
    role: Role,
) -> Result<Option<AttachedJob>, Failure> {
    let mut folder = RunFolder::of_job_record(&context.volume, job_record)?;
    let is_ended = role == Role::Ended;
    let is_stopped = || context.stop.reason().is_some();
    let is_own = job_record.run_id == context.spec.run.id;
    let gate = match folder.gate().await {
        Err(_) if is_stopped() && !is_ended => Gate::Open,
        looked => looked?,
    };
    if gate == Gate::Closed && !is_own {
        let was_let_start = match was_let_start(context, &job_record.job_uid).await {
            Err(_) if is_stopped() && !is_ended => true,
            asked => asked?,
        };
        if !was_let_start {
            // The server that made it is removing it.
            return Ok(None);
        }
    }
    if let Some(nonce) = job_record.nonce.as_deref().filter(|_| gate == Gate::Waits) {
        // The container may have ended long before its Job is over.
        let is_harvested = (is_ended && job_record.retained) || folder.was_let_start().await?;
        if is_harvested && !is_own {
            return Ok(None);
        }
        // Its server ended before it opened the gate. This run has the agent's lock, so the Job may go on.
        if !is_ended && !folder.open_gate(nonce).await? && !is_own {
            return Ok(None);
        }
    }
    // Where root is squashed no server can mark on the volume that a retained Job was harvested.
    let is_known = is_ended && !is_own && context.server.reported.has(&job_record.run_id);
    if is_known || (is_ended && !folder.has_log().await?) {
        return Ok(None);
    }
    folder.by_server = job_record.nonce.is_some();
    let word = nonce();
    let seal = context.seal.of(Kind::Holder, &[&job_record.job_uid, &word]);
    let holder = format!("{word}.{seal}");
    folder.take_over(&holder).await;
    let (stdout, stderr) = folder.follow(&context.server.hub)?;
    let spec = spec_of(&context.spec, job_record);
    tracing::info!(job = %job_record.job_name, of_run = %job_record.run_id, is_ended, "Job adopted");
    let job = JobIdentity {
        name: job_record.job_name.clone(),
        uid: job_record.job_uid.clone(),
        warnings: Vec::new(),
        secret: job_record.secret.clone(),
        files: folder.files.clone(),
        names: folder.names.clone(),
        asked_for: None,
        holder: Some(holder),
        log_by_server: folder.by_server,
        without_job: false,
    };
    Ok(Some(AttachedJob {
        handle: context.handle(job, &spec),
        spec: Box::new(spec),
        stdout,
        stderr,
    }))
}

/// Whether the API server shows that the Job's agent was started: then its gate was open, whatever agents write there.
///
/// # Errors
/// When the API server does not say: a Job that is at work must not be given up for that.
async fn was_let_start(context: &RunContext, job_uid: &str) -> Result<bool, Failure> {
    let pods = list_agent_pods(&context.namespace, &context.selector, GATE_LIST).await;
    let pods = pods.map_err(|error| {
        let message = format!("{error}. So it is not known whether an earlier run of this agent is on");
        Failure::before_start(GUARD_UNREACHABLE, message)
    })?;
    Ok(pods
        .iter()
        .any(|pod| is_owned_by(pod, job_uid) && has_started(pod)))
}

/// Whether the Job was made for the same prompt as this run's.
pub(crate) fn is_same_prompt(context: &RunContext, job_record: &JobRecord) -> bool {
    let own = prompt_hash(&context.spec.run.prompt().text, &context.spec.run.id);
    job_record.prompt_hash.as_ref() == Some(&own)
}

/// This run's settings, with those that the Job was started with in their place.
fn spec_of(own: &RunSpec, job_record: &JobRecord) -> RunSpec {
    let mut spec = own.clone();
    spec.run.forget_texts();
    spec.run.id.clone_from(&job_record.run_id);
    spec.settings.timeout_sec = job_record.deadline;
    spec.settings.retain_jobs = own.settings.retain_jobs || job_record.retained;
    spec.run.resume.session_id.clone_from(&job_record.session);
    if let Some(folder) = &job_record.working_dir {
        spec.run.working_dir.clone_from(folder);
    }
    spec
}
