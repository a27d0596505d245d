//! What opencode's JSONL stream means. Pure: lines in, a [`Summary`] out.
//!
//! - `event` reads one line; `lenient` lets a field have any type; `glued` finds events beside other text in a line,
//!   `spread` those of several lines
//! - `run_error` reads what opencode 1.x and V2 say of an error; `progress` notices a run that goes round in a circle
//! - `log` reads one line of opencode's own log, which it may write to stderr
//! - [`Transcript`] folds lines in constant memory into a [`Summary`]
//! - [`parse_jsonl`], [`is_step_limit`] and [`is_unknown_session`] are exports of the TypeScript adapter

mod activity;
pub(crate) mod bounded;
pub(crate) mod escapes;
mod event;
mod glued;
mod last_errors;
mod lenient;
pub(crate) mod log;
mod open_errors;
mod parse;
mod progress;
mod run_error;
mod session;
mod skim;
pub(crate) mod small;
mod spread;
mod summary;
mod transcript;

/// The version that all recordings, and the runs on real clusters, are made with.
pub const TESTED_VERSION: &str = "1.18.33";

pub use activity::{Activity, LastEvent};
pub use parse::{fold, is_step_limit, parse_jsonl};
pub use progress::{Circle, LastStep};
pub use run_error::RunError;
pub use session::is_unknown_session;
pub(crate) use session::says_session_lost;
pub use summary::{DoneLine, Summary, Tokens, ToolError};
pub use transcript::Transcript;
