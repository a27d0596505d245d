//! The shared volume: calls on threads that may block, and the files of a run.

pub mod blocking;
pub mod folder;
mod making;
