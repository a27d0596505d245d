//! Follows the log files of all runs: every line once, off the JavaScript thread, from a hostile and stale
//! file system.
//!
//! `framer`, `cadence`, `delivered_lines`, `collected`, `ending` and `record` are pure; `source` is the only room that opens files; `reader`
//! and `followed` are one tail without a clock; `hub` owns the threads that poll.

pub mod cadence;
pub mod collected;
mod delivered_lines;
mod ending;
pub mod followed;
pub mod framer;
pub mod hub;
mod reader;
pub mod record;
mod running_digest;
pub mod source;

pub use cadence::Pace;
pub use delivered_lines::REMEMBERED_LINES;
pub use hub::{Hub, Tail};
pub use record::EndRecord;
