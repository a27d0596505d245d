//! Runs OpenCode agents of Paperclip as Kubernetes Jobs.
//!
//! One flow, one way: context -> request -> manifest -> Job -> bytes -> lines -> transcript -> result. Each room is a
//! part of it: `config` reads and checks the request, `manifest` renders the Job, `cluster` talks to the API server,
//! `tail` reads the log files of all runs, `opencode` knows what a line means, `run` joins them and judges, `probe`
//! tests an environment, `quotas` shows what is used of it, and `boundary` is all that Node sees.

#![cfg_attr(not(feature = "addon"), forbid(unsafe_code))]

// Under test the macros of napi export nothing, so there would be nothing to look at.
#[cfg(all(feature = "addon", not(test)))]
mod boundary;
pub mod cluster;
pub mod codes;
pub mod config;
pub mod ids;
pub mod manifest;
pub mod metrics;
pub mod observe;
pub mod opencode;
pub mod probe;
pub mod quotas;
pub mod run;
pub mod tail;
