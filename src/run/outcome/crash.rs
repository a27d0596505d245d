//! A crash of opencode itself: a signal that a program brings on itself, or its runtime's last words.

use crate::opencode::bounded::prefix;

use super::facts::FoldedFacts;
use super::failure::OutcomeFailure;
use super::kill::RAISE_MEMORY;
use super::{code, kill};

/// Signals by which the processor or the program itself ends a program.
const OWN_SIGNALS: [&str; 7] = [
    "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS",
];
/// How the runtime, or the shell that waited for it, tells of a crash.
const LAST_WORDS: [&str; 8] = [
    "panic(",
    "panic:",
    "Bun has crashed",
    "Segmentation fault",
    "Illegal instruction",
    "Bus error",
    "(core dumped)",
    "trap (core",
];
/// How it tells that it got no memory.
const NO_MEMORY: [&str; 5] = [
    "out of memory",
    "cannot allocate memory",
    "bad_alloc",
    "allocation failed",
    "enomem",
];

/// The failure, if opencode crashed.
pub(super) fn judge(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let by_signal =
        kill::signal(facts).filter(|signal| OWN_SIGNALS.iter().any(|own| signal.starts_with(own)));
    let is_failed = facts.exit_code.is_some_and(|code| code != 0) || facts.signal.is_some();
    let words = lines
        .iter()
        .map(|line| line.trim())
        .find(|line| LAST_WORDS.iter().any(|words| line.contains(words)))
        .filter(|_| is_failed && (by_signal.is_some() || kill::signal(facts).is_none()));
    if by_signal.is_none() && words.is_none() {
        return None;
    }
    let by = by_signal
        .as_ref()
        .map(|signal| format!(" by {signal}"))
        .unwrap_or_default();
    let said = words
        .map(|words| format!(": {}", prefix(words, 300)))
        .unwrap_or_default();
    let has_no_memory = lines.iter().any(|line| {
        let line = line.to_ascii_lowercase();
        NO_MEMORY.iter().any(|words| line.contains(words))
    });
    if has_no_memory {
        let text = format!("opencode ran out of memory: it crashed{by}{said}; {RAISE_MEMORY}");
        return Some(
            OutcomeFailure::new(code::KILLED, text)
                .not_retryable()
                .explained(),
        );
    }
    let hint = if by.contains("SIGILL") || said.contains("Illegal instruction") {
        "; the node's processor may lack what this build needs (AVX2): take opencode's baseline build"
    } else {
        "; a fault of opencode or its runtime: another version may not have it"
    };
    let code = if facts.summary.events == 0 {
        code::START_FAILED
    } else {
        code::OPENCODE_ERROR
    };
    Some(OutcomeFailure::new(code, format!("opencode crashed{by}{said}{hint}")).explained())
}
