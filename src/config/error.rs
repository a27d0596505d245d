//! What can be wrong with a request, said so that the reader knows which field to change.

use thiserror::Error;

/// A request or a configuration that cannot be turned into a Job.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The request itself is not the object that the adapter sends.
    #[error("the run request cannot be read: {0}")]
    Request(String),
    /// An id cannot become part of a path.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// A configuration field holds something that cannot be used.
    #[error("adapter configuration: {field} {problem}")]
    Field {
        /// Name of the field, as the operator wrote it.
        field: String,
        /// What is wrong with the value and what would be right.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        ConfigError::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// An id with characters other than ASCII letters, digits and `-`, or without any.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Invalid {field} for log path: {value}")]
pub struct InvalidId {
    /// `companyId`, `agentId` or `runId`.
    pub field: &'static str,
    /// The refused value.
    pub value: String,
}
