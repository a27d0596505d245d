//! Follows the log files of all runs: every line once, off the JavaScript thread, from a hostile and stale
//! file system.
//!
//! `framer`, `cadence`, `record` and `followed` are pure; `source` is the only room that opens files; `hub` owns
//! the threads that poll.

pub mod cadence;
pub mod followed;
pub mod framer;
pub mod hub;
pub mod record;
pub mod source;

pub use cadence::Pace;
pub use hub::{Hub, Tail};
pub use record::EndRecord;
