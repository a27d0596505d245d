//! What opencode's JSONL stream means. Pure: lines in, a [`Summary`] out.
//!
//! - `event` reads one line; `lenient` lets a field have any type
//! - `log` reads one line of opencode's own log, which it may write to stderr
//! - [`Transcript`] folds lines in constant memory into a [`Summary`]
//! - [`parse_jsonl`], [`is_step_limit`] and [`is_unknown_session`] are exports of the TypeScript adapter

mod activity;
pub(crate) mod bounded;
mod event;
mod lenient;
pub(crate) mod log;
mod parse;
mod session;
mod small;
mod summary;
mod transcript;

pub use activity::Activity;
pub use parse::{fold, is_step_limit, parse_jsonl};
pub use session::is_unknown_session;
pub(crate) use session::text_says_unknown_session;
pub use summary::{DoneLine, RunError, Summary, Tokens, ToolError};
pub use transcript::Transcript;
