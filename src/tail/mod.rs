//! Follows the log files of all runs: every line once, off the JavaScript thread, from a hostile and stale
//! file system.
//!
//! - `framer`, `cadence`, `delivered_lines`, `line_collector`, `finish_rule`, `record` and `running_digest` are pure
//! - `source` is the only room that opens files
//! - `reader` and `follower` are one tail; the time is an argument
//! - `hub` owns the threads that poll

pub mod cadence;
mod delivered_lines;
mod finish_rule;
pub mod follower;
pub mod framer;
pub mod hub;
pub mod line_collector;
mod reader;
pub mod record;
mod running_digest;
pub mod source;

pub use cadence::TailOptions;
pub use delivered_lines::REMEMBERED_LINES;
pub use hub::{Hub, Tail};
pub use record::{EndRecord, StartRecord};
