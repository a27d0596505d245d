//! The only room that talks to the API server. `conditions` says what its answers mean, and is pure.

pub mod client;
pub mod conditions;
pub mod error;
mod error_chain;
pub mod host_pod;
pub mod identity;
pub mod subscribers;
pub mod verbs;
pub mod view;

pub use client::{Access, Cluster};
pub use error::ClusterError;
pub use view::View;
