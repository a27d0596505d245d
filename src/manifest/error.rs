//! Why no Job can be rendered.

use thiserror::Error;

use super::prompt::SECRET_PROMPT_LIMIT_BYTES;
use crate::codes::{CONFIG_INVALID, INVALID_ID, PROMPT_TOO_LARGE};
use crate::ids::InvalidId;

/// Settings that no Job can have.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// An id cannot become part of a path.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The prompt fits neither an environment value nor a Secret.
    #[error(
        "Prompt too large: it has {bytes} bytes, and a Kubernetes Secret holds at most {SECRET_PROMPT_LIMIT_BYTES}. \
         Shorten the instructions, the skills or the issue"
    )]
    PromptTooLarge {
        /// UTF-8 bytes of the prompt.
        bytes: usize,
    },
    /// Prompt and variables do not fit one Secret.
    #[error(
        "Prompt and env too large: they have {bytes} bytes ({of_env} of env), and a Kubernetes Secret holds at most \
         {SECRET_PROMPT_LIMIT_BYTES}. Put large values of env into files, or shorten the instructions"
    )]
    SecretTooLarge {
        /// UTF-8 bytes of both.
        bytes: usize,
        /// UTF-8 bytes of the variables.
        of_env: usize,
    },
    /// A folder that a pod with `volumeAccess: own` may not see.
    #[error(
        "Not a folder of its own: {field} {path} holds other agents' folders or the server's, or is no plain path, and \
         volumeAccess own shows none of these. Name a folder that is the agent's alone, or set volumeAccess to all"
    )]
    NotOwnFolder {
        /// The setting, or the host's field, that names the folder.
        field: &'static str,
        /// The folder, as the pod would see it.
        path: String,
    },
    /// The server has the workspace on a volume that agents' pods do not mount.
    #[error(
        "Workspace on another volume: {folder} is below {mount}, where the server's pod mounts something that agents' \
         pods do not have, so that an agent would find an empty folder. Mount it there by podSpecPatch (volumes, and \
         volumeMounts of the container opencode), or keep workspaces on the shared volume"
    )]
    WorkspaceElsewhere {
        /// The working directory, as the pod would see it.
        folder: String,
        /// The server's mount that holds it.
        mount: String,
    },
    /// The operator's patch of the pod is refused.
    #[error("{0}")]
    Patch(String),
}

impl ManifestError {
    /// The result's `errorCode`.
    pub fn code(&self) -> &'static str {
        match self {
            ManifestError::Id(_) => INVALID_ID,
            ManifestError::Patch(_)
            | ManifestError::NotOwnFolder { .. }
            | ManifestError::WorkspaceElsewhere { .. } => CONFIG_INVALID,
            ManifestError::PromptTooLarge { .. } | ManifestError::SecretTooLarge { .. } => PROMPT_TOO_LARGE,
        }
    }
}
