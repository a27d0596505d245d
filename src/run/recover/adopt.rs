//! A Job that this server did not start, or does not remember: followed from its first byte by what the Job says about itself.

use crate::config::RunSpec;
use crate::manifest::job_record::JobRecord;
use crate::manifest::names::prompt_hash;
use crate::run::attached::AttachedJob;
use crate::run::context::{JobIdentity, RunContext, unless_stopped};
use crate::run::failure::Failure;
use crate::run::volume::folder::{RunFolder, nonce};
use crate::tail::Hub;

/// Takes the Job over; `None` when somebody has harvested it already.
///
/// # Errors
/// When its files cannot be followed, or an ended one is not wanted any more.
pub(crate) async fn adopt(
    context: &RunContext,
    job_record: &JobRecord,
    ended: bool,
    hub: &Hub,
) -> Result<Option<AttachedJob>, Failure> {
    let mut folder = RunFolder::of_papers(&context.root, context.owner, job_record)?;
    // A stop only hurries these looks: the Job runs, and whoever follows it ends it and knows that it is gone.
    let looked = unless_stopped(&context.stop, folder.gate_is_open()).await;
    let gate_is_open = looked.unwrap_or(true);
    if ended {
        // What a harvest takes away first is the file of the gate: a retained Job keeps its log, and so does one whose
        // new holder was to clean up and died.
        let no_gate = job_record.nonce.is_some() && !gate_is_open;
        let harvested = no_gate
            && (job_record.retained || unless_stopped(&context.stop, folder.started()).await?.is_some());
        if harvested || !unless_stopped(&context.stop, folder.has_log()).await? {
            return Ok(None);
        }
    } else if let Some(nonce) = job_record.nonce.as_deref().filter(|_| !gate_is_open) {
        // Its server ended before it let the pod go on. We hold the turn, and this is the Job to wait for.
        if let Ok(opened) = unless_stopped(&context.stop, folder.open_gate(nonce)).await {
            opened?;
        }
    }
    folder.by_server = job_record.nonce.is_some();
    // Known also when a stop hurries past it: the word is being written all the same, and it is ours.
    let holder = nonce();
    let _ = unless_stopped(&context.stop, folder.take_over(&holder)).await;
    let (stdout, stderr) = folder.follow(hub)?;
    let spec = spec_of(&context.spec, job_record);
    let job = JobIdentity {
        name: job_record.job_name.clone(),
        uid: job_record.job_uid.clone(),
        secret: job_record.secret.clone(),
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
pub(crate) fn is_same_prompt(context: &RunContext, job_record: &JobRecord) -> bool {
    let own = prompt_hash(&context.spec.prompt, &context.spec.run_id);
    job_record.prompt_hash.as_ref() == Some(&own)
}

/// This run's settings with what the Job was really started with.
fn spec_of(own: &RunSpec, job_record: &JobRecord) -> RunSpec {
    let mut spec = own.clone();
    spec.run_id.clone_from(&job_record.run_id);
    spec.timeout_sec = job_record.deadline;
    spec.retain_jobs = own.retain_jobs || job_record.retained;
    spec.resume.session_id.clone_from(&job_record.session);
    if let Some(folder) = &job_record.working_dir {
        spec.working_dir.clone_from(folder);
    }
    spec
}
