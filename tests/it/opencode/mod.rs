//! What opencode printed, and what that makes of a run.

mod messages;
mod outcome;
mod parse;
mod recordings;
