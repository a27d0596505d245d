//! Creates the Job, and the Secret of its variables and prompt.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::cluster::ClusterError;
use crate::cluster::verbs::Namespace;
use crate::run::failure::{Failure, JOB_CREATE_FAILED};
use crate::run::start::ledger::Ledger;
use crate::run::timing::CLEAN_UP;

/// The identity of a Job that was created.
#[derive(Debug, Clone)]
pub struct CreatedJob {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What the API server warned of.
    pub warnings: Vec<String>,
}

/// Creates the Job, then the Secret with the Job as its owner, so that no Secret stays without a Job if this process
/// dies. Until the Secret is there, the kubelet does not start the pod that mounts it. `gated`: the pod waits for its
/// nonce before it starts opencode.
///
/// # Errors
/// `k8s_job_create_failed` with the API's reason. What may have been created stands in the ledger.
pub async fn submit(
    namespace: &Namespace,
    job: &Job,
    secret: Option<Secret>,
    is_gated: bool,
    ledger: &Ledger,
) -> Result<CreatedJob, Failure> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let failed = |error: ClusterError| Failure::before_start(JOB_CREATE_FAILED, error.to_string());
    ledger.job(&name, is_gated);
    let answer = namespace.create(&namespace.jobs, &name, job, same_run).await;
    let answer = answer.inspect_err(|error| {
        // After a transient error it may have been created.
        if !error.is_transient() {
            ledger.job_was_refused();
        }
    });
    let answer = answer.map_err(failed)?;
    let created = CreatedJob {
        name: name.clone(),
        uid: answer.object.metadata.uid.unwrap_or_default(),
        warnings: answer.warnings,
    };
    ledger.job_has_uid(&created.uid);
    tracing::info!(job = %created.name, namespace = %namespace.name, "Job created");
    let Some(mut secret) = secret else {
        return Ok(created);
    };
    secret.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: name.clone(),
        uid: created.uid.clone(),
        controller: None,
        // True would need a further right on some platforms.
        block_owner_deletion: Some(false),
    }]);
    let secret_name = secret.metadata.name.clone().unwrap_or_default();
    let create = || namespace.create(&namespace.secrets, &secret_name, &secret, same_owner);
    let mut answer = create().await;
    if answer.as_ref().is_err_and(ClusterError::is_conflict) {
        // An earlier Job of this very run has left it: its owner is gone, and the garbage collector takes its time.
        let removed = namespace.delete_secret(&secret_name, CLEAN_UP.calm).await;
        removed.map_err(failed)?;
        answer = create().await;
    }
    answer.map_err(failed)?;
    Ok(created)
}

/// Whether the Job that was found is the one that this run asked for: all annotations are the same.
fn same_run(ours: &Job, found: &Job) -> bool {
    ours.metadata.annotations.as_ref().is_some_and(|ours| {
        found
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|found| ours.iter().all(|(key, value)| found.get(key) == Some(value)))
    })
}

fn same_owner(ours: &Secret, found: &Secret) -> bool {
    ours.metadata.owner_references == found.metadata.owner_references
}
