//! The only room that talks to the API server. `conditions` and `waiting` say what its answers mean, and are pure.

pub mod client;
pub mod conditions;
pub mod error;
mod error_chain;
pub mod host_pod;
pub mod identity;
pub mod subscribers;
pub mod verbs;
pub mod view;
mod waiting;

pub use client::{Access, Cluster};
pub use error::ClusterError;
pub use view::View;
