//! How the prompt reaches the pod: in an environment value, or in a Secret when it is too large for one or secret.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Manifest, ManifestError, names};
use crate::config::RunSpec;

/// Largest generated environment value, in bytes of UTF-8. The kernel takes 128 KiB for name and value together.
pub const LARGE_PROMPT_THRESHOLD_BYTES: usize = 100 * 1024;
/// Largest prompt in a Secret: its data may have 1 MiB, minus a reserve for key and metadata.
pub const SECRET_PROMPT_LIMIT_BYTES: usize = 1024 * 1024 - 4096;
/// The key of the prompt in its Secret.
pub const SECRET_KEY: &str = "prompt";

/// The Secret that a manifest needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSecret {
    /// Its name: the caller's, else made from the Job's.
    pub name: String,
    /// UTF-8 bytes of the prompt.
    pub bytes: usize,
    /// Values of variables beside the prompt, by key.
    pub env: BTreeMap<String, String>,
}

/// The Secret that this run needs, if any: one for all that Job and pod must not show, one of the caller's, or one for
/// a large prompt.
pub(crate) fn secret_for(spec: &RunSpec, job_name: &str) -> Result<Option<RunSecret>, ManifestError> {
    let bytes = spec.run.prompt().text.len();
    if bytes > SECRET_PROMPT_LIMIT_BYTES {
        return Err(ManifestError::PromptTooLarge { bytes });
    }
    let named = spec
        .run
        .run_secret_name
        .as_ref()
        .or(spec.run.prompt_secret_name.as_ref());
    let name = match named {
        Some(name) => name.clone(),
        // A Secret's file can hold a NUL, an environment value cannot.
        None if bytes > LARGE_PROMPT_THRESHOLD_BYTES || spec.run.prompt().text.contains('\0') => {
            format!("{job_name}-prompt")
        }
        None => return Ok(None),
    };
    let env = BTreeMap::new();
    Ok(Some(RunSecret { name, bytes, env }))
}

/// Whether the prompt and the variables fit the run's Secret.
pub(crate) fn check_size(secret: &RunSecret) -> Result<(), ManifestError> {
    let of_env: usize = secret.env.values().map(String::len).sum();
    let bytes = secret.bytes + of_env;
    match bytes > SECRET_PROMPT_LIMIT_BYTES {
        true => Err(ManifestError::SecretTooLarge { bytes, of_env }),
        false => Ok(()),
    }
}

/// The Secret of a manifest, with the labels of its Job; none where it needs none.
pub fn run_secret(spec: &RunSpec, manifest: &Manifest) -> Option<Secret> {
    let secret = manifest.secret.as_ref()?;
    let mut data = secret.env.clone();
    data.insert(SECRET_KEY.to_owned(), spec.run.prompt().text.clone());
    Some(Secret {
        metadata: ObjectMeta {
            name: Some(secret.name.clone()),
            namespace: Some(spec.namespace().to_owned()),
            labels: Some(names::labels(spec, &mut Vec::new())),
            ..ObjectMeta::default()
        },
        string_data: Some(data),
        ..Secret::default()
    })
}
