//! A Job that this server did not start, or does not remember: followed from its first byte by its own papers.

use super::failure::Failure;
use super::folder::{RunFolder, nonce};
use super::papers::Papers;
use super::site::{JobOfRun, Site, unless_stopped};
use super::start::Begun;
use crate::config::RunSpec;
use crate::manifest::names::prompt_hash;
use crate::tail::Hub;

/// Takes the Job over; `None` when somebody has harvested it already.
///
/// # Errors
/// When its files cannot be followed, or an ended one is not wanted any more.
pub(super) async fn adopt(
    site: &Site,
    papers: &Papers,
    ended: bool,
    hub: &Hub,
) -> Result<Option<Begun>, Failure> {
    let mut folder = RunFolder::of_papers(&site.root, site.owner, papers)?;
    // A stop only hurries these looks: the Job runs, and whoever follows it ends it and knows that it is gone.
    let looked = unless_stopped(&site.stop, folder.gate_is_open()).await;
    let gate_is_open = looked.unwrap_or(true);
    if ended {
        // What a harvest takes away first is the file of the gate: a retained Job keeps its log, and so does one whose
        // heir was to clean up and died.
        let no_gate = papers.nonce.is_some() && !gate_is_open;
        let harvested =
            no_gate && (papers.retained || unless_stopped(&site.stop, folder.started()).await?.is_some());
        if harvested || !unless_stopped(&site.stop, folder.has_log()).await? {
            return Ok(None);
        }
    } else if let Some(nonce) = papers.nonce.as_deref().filter(|_| !gate_is_open) {
        // Its server ended before it let the pod go on. We hold the turn, and this is the Job to wait for.
        if let Ok(opened) = unless_stopped(&site.stop, folder.open_gate(nonce)).await {
            opened?;
        }
    }
    folder.by_server = papers.nonce.is_some();
    // Known also when a stop hurries past it: the word is being written all the same, and it is ours.
    let heir = nonce();
    let _ = unless_stopped(&site.stop, folder.take_over(&heir)).await;
    let (stdout, stderr) = folder.follow(hub)?;
    let spec = spec_of(&site.spec, papers);
    let job = JobOfRun {
        name: papers.job_name.clone(),
        uid: papers.job_uid.clone(),
        secret: papers.secret.clone(),
        files: folder.files.clone(),
        names: folder.names.clone(),
        asked_for: None,
        heir: Some(heir),
        without_job: false,
    };
    Ok(Some(Begun {
        live: site.live(job, &spec),
        spec,
        stdout,
        stderr,
    }))
}

/// Whether the Job answers the very prompt of this run.
pub(super) fn is_same_prompt(site: &Site, papers: &Papers) -> bool {
    let own = prompt_hash(&site.spec.prompt, &site.spec.run_id);
    papers.prompt_hash.as_ref() == Some(&own)
}

/// This run's settings with what the Job was really started with.
fn spec_of(own: &RunSpec, papers: &Papers) -> RunSpec {
    let mut spec = own.clone();
    spec.run_id.clone_from(&papers.run_id);
    spec.timeout_sec = papers.deadline;
    spec.retain_jobs = own.retain_jobs || papers.retained;
    spec.resume.session_id.clone_from(&papers.session);
    if let Some(folder) = &papers.working_dir {
        spec.working_dir.clone_from(folder);
    }
    spec
}
