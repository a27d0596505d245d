//! The rendered Job.

mod dry_run;
mod golden;
mod permissions;
mod pod_security;
mod secrets;
mod session;
