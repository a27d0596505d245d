//! Judges a finished run from everything that is known about it. Pure.
//!
//! [`resolve`] takes the whole stdout, [`resolve_folded`] a stream that was folded while it came. Both give the
//! host's result: a success only where the stream shows one, otherwise a code (`codes`) and a message that explains.
//! The host takes `exitCode: null` without a message as a success, and a non-zero code or a signal as a failure. So a
//! success always has code 0 and no signal, and every failure has a message.

mod command_line;
mod crash;
mod documents;
mod errors;
mod excerpt;
mod facts;
mod failure;
mod kill;
mod message;
mod plain;
mod provider;
mod provider_error;
mod provider_words;
mod result;
mod secret_context;
mod secret_places;
mod secret_shapes;
mod secret_values;
mod secrets;
mod session;
mod signal;
mod stderr;
mod verdict;
mod warnings;

pub(crate) use crate::opencode::escapes::without_escapes as without_ansi;
pub use excerpt::{Excerpt, STDOUT_LIMIT};
pub use facts::{Facts, FoldedFacts, LogState, Session};
pub(crate) use kill::{PREEMPTED, is_lost};
pub use result::{RunResult, Usage};
pub(crate) use secrets::without_secrets;
pub(crate) use signal::signal_name;

pub use crate::codes as code;
use crate::opencode;

/// The result of a run whose stdout is at hand.
#[must_use]
pub fn resolve(facts: &Facts) -> RunResult {
    resolve_folded(&FoldedFacts {
        summary: opencode::fold(&facts.stdout).finish(),
        stdout_excerpt: excerpt::excerpt(&facts.stdout),
        stderr: excerpt::end(&facts.stderr).to_owned(),
        exit_code: facts.exit_code,
        signal: facts.signal.clone(),
        reason: facts.reason.clone(),
        log_state: facts.log_state,
        timed_out: facts.timed_out,
        timeout_sec: facts.timeout_sec,
        cancelled: facts.cancelled,
        model: facts.model.clone(),
        session: facts.session.clone(),
        ended_in_circle: false,
        silent_for_sec: None,
        unstarted: false,
    })
}

/// The result of a run whose stdout was folded line by line.
#[must_use]
pub fn resolve_folded(facts: &FoldedFacts) -> RunResult {
    // Before anything is cut out of it: half a secret is known by nothing.
    let facts = FoldedFacts {
        stderr: without_secrets(&facts.stderr),
        ..facts.clone()
    };
    result::assemble(&facts, verdict::judge(&facts))
}
