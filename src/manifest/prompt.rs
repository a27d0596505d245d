//! How the prompt reaches the pod: in an environment value, or in a Secret when it is too large for one.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{ManifestError, names};
use crate::config::RunSpec;

/// Largest generated environment value, in bytes of UTF-8. The kernel takes 128 KiB for name and value together.
pub const LARGE_PROMPT_THRESHOLD_BYTES: usize = 100 * 1024;
/// Largest prompt in a Secret: its data may have 1 MiB, minus a reserve for key and metadata.
pub const SECRET_PROMPT_LIMIT_BYTES: usize = 1024 * 1024 - 4096;
/// The key of the prompt in its Secret.
pub const SECRET_KEY: &str = "prompt";

/// The Secret that a manifest needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptSecret {
    /// Its name: the caller's, else made from the Job's.
    pub name: String,
    /// UTF-8 bytes of the prompt.
    pub bytes: usize,
}

/// The Secret that this run needs, if any: the caller names one, or the prompt needs one.
pub(crate) fn secret_for(spec: &RunSpec, job_name: &str) -> Result<Option<PromptSecret>, ManifestError> {
    let bytes = spec.run.prompt().text.len();
    if bytes > SECRET_PROMPT_LIMIT_BYTES {
        return Err(ManifestError::PromptTooLarge { bytes });
    }
    let secret = |name: String| Some(PromptSecret { name, bytes });
    Ok(match &spec.run.prompt_secret_name {
        Some(name) => secret(name.clone()),
        // A Secret's file can hold a NUL, an environment value cannot.
        None if bytes > LARGE_PROMPT_THRESHOLD_BYTES || spec.run.prompt().text.contains('\0') => {
            secret(format!("{job_name}-prompt"))
        }
        None => None,
    })
}

/// The Secret with the prompt, with the labels of its Job.
pub fn prompt_secret(spec: &RunSpec, name: &str) -> Result<Secret, ManifestError> {
    let bytes = spec.run.prompt().text.len();
    if bytes > SECRET_PROMPT_LIMIT_BYTES {
        return Err(ManifestError::PromptTooLarge { bytes });
    }
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(spec.namespace().to_owned()),
            labels: Some(names::labels(spec, &mut Vec::new())),
            ..ObjectMeta::default()
        },
        string_data: Some([(SECRET_KEY.to_owned(), spec.run.prompt().text.clone())].into()),
        ..Secret::default()
    })
}
