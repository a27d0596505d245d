//! What opencode printed, and what that makes of a run.

mod field;
mod messages;
mod outcome;
mod parse;
mod recordings;
