//! Whether a run failed for the session that it resumed. Only opencode's own word costs a session: what a provider, a
//! plugin or a tool says of sessions is about others.

use crate::opencode::says_session_lost;

use super::code;
use super::facts::{FoldedFacts, LogState};
use super::failure::OutcomeFailure;

/// opencode does not know the session that it should resume, or cannot go on from it.
pub(super) fn judge(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let sum = &facts.summary;
    if sum.steps_started + sum.steps_finished > 0 || facts.log_state == LogState::Incomplete {
        return None;
    }
    // An error in the stream explains the end; what else was printed is beside it.
    let by_stream = sum.session_lost && sum.errors.last().is_none_or(|error| error.status.is_none());
    let on_stderr = sum.errors.is_empty() && says_session_lost(&lines.join("\n"));
    if by_stream || on_stderr {
        return lost(facts, lines);
    }
    gone_silently(facts, lines)
}

fn lost(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let Some(id) = facts.resumed() else {
        let text = "Session not found: opencode could not open the session that it had just made; OPENCODE_SERVER_PASSWORD \
                    in the agent's environment does that, and so does a database that was replaced";
        let failure = OutcomeFailure::new(code::SESSION_UNAVAILABLE, text).not_retryable();
        return Some(failure.explained());
    };
    // A session of a sub-agent, or of another program, may be lost as well.
    let others = lines.iter().flat_map(|line| line.split(|c: char| !is_id(c)));
    let names_another = others.clone().any(|word| word.starts_with("ses_") && word != id);
    let names_it = lines.iter().any(|line| line.contains(id));
    if names_another && !names_it {
        return None;
    }
    let text = format!("Session not found: opencode does not know {id}; the next run starts a new session");
    Some(
        OutcomeFailure::new(code::SESSION_UNAVAILABLE, text)
            .clearing()
            .explained(),
    )
}

/// A resumed session with which opencode ends at once, well and without a word, would do so for ever.
fn gone_silently(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let sum = &facts.summary;
    let is_silent = sum.events + sum.lines == 0 && lines.is_empty();
    let is_well = facts.exit_code == Some(0) && facts.signal.is_none() && facts.log_state.is_whole();
    let id = facts.resumed().filter(|_| is_silent && is_well)?;
    let text = format!(
        "Session unusable: opencode ended at once and said nothing when it resumed {id}; the next run starts a new session"
    );
    Some(
        OutcomeFailure::new(code::SESSION_UNAVAILABLE, text)
            .clearing()
            .explained(),
    )
}

fn is_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}
