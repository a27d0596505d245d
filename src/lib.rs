//! Runs OpenCode agents of Paperclip as Kubernetes Jobs.
//!
//! One flow, one way: request -> spec -> manifest -> Job -> bytes -> lines -> transcript -> result.

#![cfg_attr(not(feature = "addon"), forbid(unsafe_code))]

pub mod config;
pub mod manifest;
pub mod session;
