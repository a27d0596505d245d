//! Follows the log files of all runs: every line once, off the JavaScript thread, from a hostile and stale
//! file system.
//!
//! - `framer`, `cadence`, `delivered_lines`, `line_collector`, `finish_rule`, `record`, `doubt`, `nul_pages`,
//!   `keyed_hash` and `running_digest` are pure
//! - `source` is the only room that opens files
//! - `reader` (with `file_check`) and `follower` (with `finishing`) are one tail; the time is an argument
//! - `text_buffers` keeps the memory of delivered texts for the next ones
//! - `hub` owns the threads that poll

pub mod cadence;
mod delivered_lines;
mod doubt;
mod file_check;
mod finish_rule;
mod finishing;
pub mod follower;
pub mod framer;
pub mod hub;
mod keyed_hash;
pub mod line_collector;
mod nul_pages;
mod reader;
pub mod record;
mod running_digest;
pub mod source;
pub mod text_buffers;

pub use cadence::TailOptions;
pub use delivered_lines::REMEMBERED_LINES;
pub use hub::{Hub, Tail};
pub use record::{EndRecord, StartRecord};
