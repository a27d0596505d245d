//! The rendered Job.

mod deployments;
mod dry_run;
mod golden;
mod permissions;
mod pod_security;
mod secrets;
mod session;
