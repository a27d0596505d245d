//! What can be wrong with a request, said so that the reader knows which field to change.

use thiserror::Error;

use crate::ids::InvalidId;

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
    #[error("{field} {problem}")]
    Field {
        /// Name of the field, as the operator wrote it.
        field: String,
        /// What is wrong with the value and what would be right.
        problem: String,
    },
}

impl ConfigError {
    /// Of several lines the first one is said: parsers draw the text that they cannot read below it.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        let mut problem = problem.into();
        problem.truncate(problem.find('\n').unwrap_or(problem.len()));
        ConfigError::Field {
            field: field.into(),
            problem,
        }
    }
}
