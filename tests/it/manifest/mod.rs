//! The rendered Job.

mod dry_run;
mod golden;
mod permissions;
mod session;
