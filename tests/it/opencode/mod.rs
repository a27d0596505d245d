//! What opencode printed, and what that makes of a run.

mod any_facts;
pub(crate) mod field;
mod messages;
mod outcome;
mod parse;
mod recordings;
