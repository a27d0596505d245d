//! The only room that awaits the API server. The judgements about what it answers are in `conditions`, which is
//! pure.

pub mod client;
pub mod conditions;
pub mod error;
pub mod host_pod;
pub mod identity;
pub mod pulse;
pub mod verbs;
pub mod view;
mod words;

pub use client::{Access, Cluster};
pub use error::ClusterError;
pub use view::View;
