//! Renders the Job of a run from its settings. Pure: no I/O and no clock.

mod addresses;
mod command;
mod env;
mod error;
pub mod exit_codes;
mod inherited;
pub mod job_record;
mod known_texts;
mod layers;
mod mcp;
mod mount_guard;
pub mod names;
mod narrow;
mod own_folders;
mod patch;
mod patch_limits;
mod paths;
mod permissions;
mod pod;
mod prompt;
mod shape;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use command::{
    StartMembers, nonce_argument, pod_script, session_argument, start_members, task_argument, task_word,
};
pub use error::ManifestError;
pub use known_texts::{KnownTexts, take_known_texts};
pub use names::sanitize_label_value;
pub use narrow::{FoldersToMake, folders_to_make};
pub use paths::{
    FileNames, LOG_END, LogPaths, NONCE_END, OTHER_ENDS, POD_ROOT, RUN_LOGS, STARTED_END, on_server,
    pod_log_path,
};
pub use prompt::{
    LARGE_PROMPT_THRESHOLD_BYTES, RunSecret, SECRET_KEY, SECRET_PROMPT_LIMIT_BYTES, run_secret,
};
pub use shape::QUEUE_NAME;
pub use volumes::PROMPT_SECRET_VOLUME;

use crate::config::RunSpec;

/// A Job, and what its creator needs beside it.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The Job as it is sent to the API server.
    pub job: Job,
    /// Its name.
    pub job_name: String,
    /// Its namespace.
    pub namespace: String,
    /// The arguments that opencode receives.
    pub opencode_args: Vec<String>,
    /// Characters of each prompt section.
    pub prompt_metrics: BTreeMap<String, serde_json::Number>,
    /// The log as the pod sees it.
    pub pod_log_path: String,
    /// All files of the run as the pod sees them.
    pub paths: LogPaths,
    /// What was changed or left out, a sentence each, for the run's stderr.
    pub warnings: Vec<String>,
    /// The Secret that the pod mounts; none when the prompt is in the Job itself.
    pub secret: Option<RunSecret>,
}

/// Renders the Job of a run.
///
/// # Errors
/// [`ManifestError`]: an id that cannot be part of a path, a prompt that fits nowhere, a patch that the pod cannot
/// have, or a folder that is not the agent's own where it is to see no other.
pub fn render(spec: &RunSpec) -> Result<Manifest, ManifestError> {
    let paths = LogPaths::new(&spec.run.company_id, &spec.run.agent_id, &spec.run.id)?;
    narrow::check(spec, &paths)?;
    let job_name = names::job_name(&spec.run.agent_id, &spec.run.id);
    let mut secret = prompt::secret_for(spec, &job_name)?;
    let opencode_args = command::opencode_args(spec);
    let mut warnings = spec.settings.warnings.clone();
    let labels = names::labels(spec, &mut warnings);
    let env = env::agent_env(spec, &mut warnings);
    if let Some(secret) = &mut secret {
        secret.env = env.secret;
        prompt::check_size(secret)?;
    }
    let mut pod = pod::pod_spec(spec, &paths, &opencode_args, secret.as_ref(), env.entries);
    inherited::inherit(&mut pod, spec, &paths, &mut warnings);
    let pod = shape::shaped(pod, spec, &paths, secret.as_ref())?;
    mount_guard::check_workspace(spec, &pod)?;
    let job = Job {
        metadata: ObjectMeta {
            name: Some(job_name.clone()),
            namespace: Some(spec.namespace().to_owned()),
            labels: Some(shape::job_labels(&labels, spec)),
            annotations: Some(names::job_annotations(spec, &paths)),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: spec
                .settings
                .timeout_sec
                .and_then(|seconds| i64::try_from(seconds).ok()),
            ttl_seconds_after_finished: spec.settings.ttl_sec,
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: names::pod_annotations(spec),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    };
    Ok(Manifest {
        job,
        job_name,
        namespace: spec.namespace().to_owned(),
        opencode_args,
        prompt_metrics: spec.run.prompt().metrics.clone(),
        pod_log_path: paths.log.clone(),
        paths,
        warnings,
        secret,
    })
}
