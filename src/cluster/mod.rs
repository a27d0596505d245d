//! The only room that talks to the API server. `conditions` and `waiting` say what its answers mean, and are pure.

mod answer;
pub mod client;
pub mod conditions;
mod credentials;
pub mod error;
mod error_chain;
mod events;
pub mod host_pod;
pub mod identity;
mod inherited_mounts;
mod list;
pub mod no_connection;
mod objects;
mod refusals;
pub mod start_failures;
pub mod subscribers;
pub mod verbs;
pub mod view;
mod waiting;

pub use client::{Access, Cluster};
pub use error::ClusterError;
pub use view::View;
