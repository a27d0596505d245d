//! A run's Job: the handle to it and its files, and what it tells about the end.

pub mod agent_pods;
pub mod at_work;
pub mod end;
pub mod handle;
pub mod removal;
