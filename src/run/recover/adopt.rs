//! A Job that this server did not start, or does not remember: followed from its first byte by what the Job says about itself.

use crate::config::RunSpec;
use crate::manifest::job_record::JobRecord;
use crate::manifest::names::prompt_hash;
use crate::run::attached::{AttachedJob, Role};
use crate::run::context::{JobIdentity, RunContext};
use crate::run::failure::Failure;
use crate::run::volume::folder::{RunFolder, nonce};

/// Takes the Job over; `None` when somebody has harvested it already. A stop only hurries the looks at the volume: the Job
/// runs, and whoever follows it ends it and knows that it is gone.
///
/// # Errors
/// When its files cannot be followed, or the volume does not say whether an ended one was harvested.
pub(crate) async fn adopt(
    context: &RunContext,
    record: &JobRecord,
    role: Role,
) -> Result<Option<AttachedJob>, Failure> {
    let mut folder = RunFolder::of_record(&context.volume, record)?;
    let is_ended = role == Role::Ended;
    let is_hurried = || context.stop.reason().is_some();
    let gate_is_open = match folder.gate_is_open().await {
        Err(_) if is_hurried() && !is_ended => true,
        looked => looked?,
    };
    if let Some(nonce) = record.nonce.as_deref().filter(|_| !gate_is_open) {
        // What a harvest takes away first is the file of the gate: a retained Job keeps its log, and so does one whose new
        // holder was to clean up and died. The container may have ended long before its Job is over.
        let is_own = record.run_id == context.spec.run.id;
        let is_harvested =
            (is_ended && record.retained) || folder.started().await?.is_some() || !folder.has_log().await?;
        if is_harvested && !is_own {
            return Ok(None);
        }
        if !is_ended {
            // Its server ended before it let the pod go on. We hold the turn, and this is the Job to wait for.
            folder.open_gate(nonce).await?;
        }
    }
    if is_ended && !folder.has_log().await? {
        return Ok(None);
    }
    folder.by_server = record.nonce.is_some();
    let holder = nonce();
    folder.take_over(&holder).await;
    let (stdout, stderr) = folder.follow(&context.server.hub)?;
    let spec = spec_of(&context.spec, record);
    let job = JobIdentity {
        name: record.job_name.clone(),
        uid: record.job_uid.clone(),
        secret: record.secret.clone(),
        files: folder.files.clone(),
        names: folder.names.clone(),
        asked_for: None,
        holder: Some(holder),
        without_job: false,
    };
    Ok(Some(AttachedJob {
        handle: context.handle(job, &spec),
        spec,
        stdout,
        stderr,
    }))
}

/// Whether the Job answers the very prompt of this run.
pub(crate) fn is_same_prompt(context: &RunContext, record: &JobRecord) -> bool {
    let own = prompt_hash(&context.spec.run.prompt().text, &context.spec.run.id);
    record.prompt_hash.as_ref() == Some(&own)
}

/// This run's settings with what the Job was really started with.
fn spec_of(own: &RunSpec, record: &JobRecord) -> RunSpec {
    let mut spec = own.clone();
    spec.run.id.clone_from(&record.run_id);
    spec.settings.timeout_sec = record.deadline;
    spec.settings.retain_jobs = own.settings.retain_jobs || record.retained;
    spec.run.resume.session_id.clone_from(&record.session);
    if let Some(folder) = &record.working_dir {
        spec.run.working_dir.clone_from(folder);
    }
    spec
}
