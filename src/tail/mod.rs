//! Follows the log files of all runs: every line once, off the JavaScript thread, from a hostile and stale
//! file system.
//!
//! `framer`, `cadence`, `given`, `collected`, `ending` and `record` are pure; `source` is the only room that opens files; `reader`
//! and `followed` are one tail without a clock; `hub` owns the threads that poll.

pub mod cadence;
pub mod collected;
mod ending;
pub mod followed;
pub mod framer;
mod given;
pub mod hub;
mod reader;
pub mod record;
mod running_digest;
pub mod source;

pub use cadence::Pace;
pub use given::REMEMBERED_LINES;
pub use hub::{Hub, Tail};
pub use record::EndRecord;
