//! Tests through the crate's surface, in one program: a program for each file took 56 MB and its own link.
//! What needs a process of its own starts this program again with the name of its test.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test sets the stage itself and fails loudly"
)]

mod cluster;
mod manifest;
mod opencode;
mod pod_script;
mod readme;
mod run;
mod simulation;
mod support;
mod tail;
mod told;
