//! The only room that awaits the API server. The judgements about what it answers are in `conditions`, which is
//! pure.

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
