//! From the manifest to a Job that exists, with its prompt's Secret owned by it.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::cluster::ClusterError;
use crate::cluster::verbs::{CALL_LIMIT, Namespace};
use crate::run::failure::{Failure, JOB_CREATE_FAILED};

/// The created Job's identity.
#[derive(Debug, Clone)]
pub struct CreatedJob {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Creates the Job, then the Secret with the Job as its owner: no Secret is ever without one, whenever this
/// process dies. The pod waits for the volume until the Secret is there.
///
/// # Errors
/// `k8s_job_create_failed` with the API's reason; nothing stays behind. Unless the pod waits at a gate, a Job that may have
/// been made and could not be removed may start.
pub async fn submit(
    namespace: &Namespace,
    job: &Job,
    secret: Option<Secret>,
    gated: bool,
) -> Result<CreatedJob, Failure> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let failed = |what: &str, error: &ClusterError| {
        Failure::before_start(JOB_CREATE_FAILED, format!("Failed to create {what}: {error}"))
    };
    let created = namespace.create(&namespace.jobs, &name, job, same_run).await;
    let created = match created {
        Ok(created) => created,
        Err(error) => {
            // Nobody knows whether it was made. Its name is this run's own, so it may be removed by it.
            let is_gone =
                !error.is_transient() || namespace.delete_job(&name, None, CALL_LIMIT).await.is_ok();
            return Err(Failure {
                nothing_started: is_gone || gated,
                ..failed("K8s Job", &error)
            });
        }
    };
    let created = CreatedJob {
        name: name.clone(),
        uid: created.metadata.uid.clone().unwrap_or_default(),
    };
    let Some(mut secret) = secret else {
        return Ok(created);
    };
    secret.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: name.clone(),
        uid: created.uid.clone(),
        controller: None,
        // Needs a further right on some platforms, and nothing is gained by it.
        block_owner_deletion: Some(false),
    }]);
    let secret_name = secret.metadata.name.clone().unwrap_or_default();
    if let Err(error) = namespace
        .create(&namespace.secrets, &secret_name, &secret, same_owner)
        .await
    {
        let _ = namespace
            .delete_job(&name, Some(&created.uid), CALL_LIMIT * 2)
            .await;
        return Err(failed("prompt Secret", &error));
    }
    Ok(created)
}

/// Whether a Job of that name is the one that a lost answer was about.
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
