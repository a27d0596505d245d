//! The verdict on a finished run: what a person would say who has read everything.

use crate::opencode::bounded::prefix;
use crate::opencode::{Circle, Summary};

use super::facts::{FoldedFacts, LogState};
use super::failure::OutcomeFailure;
use super::{code, command_line, crash, errors, kill, message, session, stderr, warnings};

/// How the run went.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The agent came to an end of its own; each warning is a sentence.
    Success(Vec<String>),
    /// It did not.
    Failure(OutcomeFailure),
}

/// The verdict. The first cause that fits wins.
pub(super) fn judge(facts: &FoldedFacts) -> Verdict {
    let lines = stderr::lines(&facts.stderr);
    if let Some(failure) = ended_by_us(facts) {
        return Verdict::Failure(failure);
    }
    let again = facts.ended_in_circle && matches!(facts.summary.circle, Some(Circle::Answered(_)));
    if has_answered(facts) || again && facts.summary.has_output() {
        return Verdict::Success(warnings::of_success(facts));
    }
    let failure = session::judge(facts, &lines)
        .or_else(|| kill::for_memory(facts))
        .or_else(|| full_disk(facts, &lines))
        .or_else(|| incomplete(facts))
        .or_else(|| errors::judge(facts, &lines))
        .or_else(|| rejected(facts, &lines))
        .or_else(|| crash::judge(facts, &lines))
        .or_else(|| kill::judge(facts))
        .or_else(|| cut(&facts.summary, &lines))
        .or_else(|| unfinished(facts, &lines));
    failure.map_or_else(|| Verdict::Success(warnings::of_success(facts)), Verdict::Failure)
}

/// The adapter or the cluster ended it: cancelled, out of time, or its log too large.
fn ended_by_us(facts: &FoldedFacts) -> Option<OutcomeFailure> {
    if facts.cancelled {
        return Some(by_us(
            facts,
            OutcomeFailure::new(code::CANCELLED, "Run cancelled"),
        ));
    }
    if let (true, Some(said)) = (facts.ended_in_circle, facts.circle()) {
        match facts.summary.circle {
            Some(Circle::Compaction(_)) => {
                let text =
                    format!("Context overflow: {said}; it was ended, and the next run starts a new session");
                let failure = OutcomeFailure::new(code::CONTEXT_OVERFLOW, text);
                return Some(by_us(facts, failure));
            }
            Some(Circle::NoAnswer(_)) => {
                let failure = OutcomeFailure::new(
                    code::STREAM_EOF,
                    format!("No usable answer: {said}; it was ended"),
                );
                return Some(by_us(facts, failure));
            }
            Some(Circle::Answered(_)) | None => {}
        }
    }
    let reason = facts.reason.as_deref().unwrap_or_default();
    if [code::LOG_TOO_LARGE, "LogTooLarge"].contains(&reason) {
        let text = "Output too large: it grew over *Largest output of a run* (maxLogBytes) of the agent's page, and \
                    the pod ended opencode. Raise that field, or make the agent print less";
        let circle = facts.circle().map(|said| format!("; {said}")).unwrap_or_default();
        return Some(by_us(
            facts,
            OutcomeFailure::new(code::LOG_TOO_LARGE, format!("{text}{circle}")),
        ));
    }
    if let Some(seconds) = silence(facts).filter(|_| !has_answered(facts)) {
        let waiting = kill::waiting_for(facts)
            .map(|what| format!("; {what}"))
            .unwrap_or_default();
        let text = format!(
            "No output for {seconds} s: opencode was ended after *Silence of a working agent* (silenceTimeoutSec) of \
             the agent's page{waiting}"
        );
        // No timeout: the host must not read one where `timeoutSec` is 0.
        return Some(by_us(facts, OutcomeFailure::new(code::SILENT, text)));
    }
    if (facts.timed_out || facts.reason_class() == "DeadlineExceeded") && !is_finished(facts) {
        let after = facts
            .timeout_sec
            .filter(|sec| *sec > 0.0)
            .map(|sec| format!(" after {sec}s"));
        let waiting = kill::waiting_for(facts).map(|what| format!("; {what}"));
        let error = errors::last_said(facts).map(|said| format!("; the last error: {said}"));
        let text = format!(
            "Timed out{}{}{}",
            after.unwrap_or_default(),
            waiting.unwrap_or_default(),
            error.unwrap_or_default()
        );
        return Some(by_us(facts, OutcomeFailure::new(code::TIMEOUT, text)));
    }
    None
}

/// For how many seconds the run had printed nothing when it was ended for that; none where it had ended by itself.
pub(super) fn silence(facts: &FoldedFacts) -> Option<u64> {
    facts.silent_for_sec.filter(|_| !is_finished(facts))
}

/// A run that ended by itself in time, and proves it. Without an event of opencode none did.
fn is_finished(facts: &FoldedFacts) -> bool {
    facts.exit_code == Some(0) && facts.log_state.is_whole() && facts.summary.events > 0
}

/// The last thing that the run says is a final answer.
fn has_answered(facts: &FoldedFacts) -> bool {
    facts.summary.clean_stop && facts.summary.has_output()
}

/// An end that we made costs no session, unless the next run would go round in the same circle, or be refused at once.
fn by_us(facts: &FoldedFacts, failure: OutcomeFailure) -> OutcomeFailure {
    OutcomeFailure {
        clear_session: facts.is_compacting() || errors::refuses_history(facts),
        ..failure.explained()
    }
}

/// opencode or its shell could not write. A cut line or a lost session may follow from that, and is not the cause.
fn full_disk(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let error = errors::cause(&facts.summary);
    if error.is_some_and(|error| error.status.is_some()) {
        return None; // the provider's message, not the disk's
    }
    let in_stream = error.map(|error| errors::plain(&error.message));
    let in_stream = in_stream.filter(|text| stderr::says_full_disk(text));
    // A tool or a plugin may have met a full disk as well.
    let explained = error.is_some_and(errors::is_of_provider);
    let said = in_stream.or_else(|| stderr::full_disk(lines).filter(|_| !explained))?;
    let text = format!(
        "A disk is full: {said}. Free space on the shared volume (the agent's home and database are there), or give \
         the pod more temporary storage"
    );
    Some(OutcomeFailure::new(code::DISK_FULL, text).explained())
}

fn incomplete(facts: &FoldedFacts) -> Option<OutcomeFailure> {
    (facts.log_state == LogState::Incomplete).then(|| {
        let known = facts
            .summary
            .unrecovered_errors()
            .last()
            .map(|error| format!(". Its last error: {}", errors::said(error)))
            .unwrap_or_default();
        let text = format!("Output incomplete: the agent's output could not be read to its end{known}");
        OutcomeFailure {
            clear_session: errors::refuses_history(facts),
            ..OutcomeFailure::new(code::LOG_INCOMPLETE, text)
        }
    })
}

/// A permission was rejected: then opencode ends the run without an error.
fn rejected(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let sum = &facts.summary;
    let rules = stderr::rejected(lines);
    // 1.x finishes the step, V2 does not.
    let in_the_middle = sum.open_step || sum.last_reason.as_deref() == Some("tool-calls");
    // A rejection that the run survived, such as a sub-agent's, does not explain what ended it later.
    let silent_end = !rules.is_empty() && in_the_middle && kill::judge(facts).is_none();
    if !sum.rejected_at_end() && !silent_end {
        return None;
    }
    Some(permission_failure(sum, &rules))
}

/// The failure of a rejected permission; it names the permission.
pub(super) fn permission_failure(sum: &Summary, rules: &[String]) -> OutcomeFailure {
    let by_done = sum
        .done
        .as_ref()
        .map(|done| done.rejected.clone())
        .unwrap_or_default();
    let what = [rules.to_vec(), by_done, sum.rejected_tools.clone()]
        .into_iter()
        .find(|names| !names.is_empty());
    if what
        .as_ref()
        .is_some_and(|names| names.iter().all(|name| name == "question"))
    {
        let text = "Question not answered: the agent asked, nobody was there to answer, and opencode ended the run; \
                    tell the agent in its instructions to decide by itself";
        return OutcomeFailure::new(code::PERMISSION_REJECTED, text).explained();
    }
    let what = what
        .map(|names| format!(": {}", names.join(", ")))
        .unwrap_or_default();
    let text = format!(
        "Permission rejected{what}. opencode asked, nobody was there to answer, and it ended the run without an \
         answer; turn on *Skip permission questions* on the agent's page, or name this permission in \
         opencode's configuration"
    );
    OutcomeFailure::new(code::PERMISSION_REJECTED, text).explained()
}

/// opencode stopped writing inside a line, or nobody read what it wrote.
fn cut(sum: &Summary, lines: &[String]) -> Option<OutcomeFailure> {
    let incomplete = |text| OutcomeFailure::new(code::LOG_INCOMPLETE, text);
    if sum.cut_last_line {
        let text = "Output cut: it stops in the middle of a line, and the end of the answer is lost";
        return Some(incomplete(text));
    }
    let epipe = sum.open_step && lines.iter().any(|line| line.contains("EPIPE"));
    let text = "Output cut: the output stops inside a step, and opencode could not write the rest (EPIPE)";
    epipe.then(|| incomplete(text).explained())
}

/// opencode ended by itself, but not with a final answer.
fn unfinished(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let sum = &facts.summary;
    match facts.exit_code {
        _ if sum.clean_stop => Some(empty_response()),
        None => Some(OutcomeFailure::new(code::UNKNOWN_OUTCOME, unknown(sum))),
        Some(0) if !facts.log_state.is_whole() => {
            Some(OutcomeFailure::new(code::UNKNOWN_OUTCOME, unknown(sum)))
        }
        // 1 is the code of a run with an error, also of one that recovered from it.
        Some(0) => no_answer(facts, lines),
        Some(1) if facts.log_state.is_whole() && !sum.errors.is_empty() => no_answer(facts, lines),
        Some(_) if sum.steps_finished > 0 && !sum.has_output() && !sum.open_step => Some(empty_response()),
        Some(exit) => errors::by_stderr(facts, lines).or_else(|| {
            if sum.events == 0 {
                return Some(not_started(facts, exit, lines));
            }
            let text = format!("opencode failed: it exited with code {exit} before the agent was done");
            Some(OutcomeFailure::new(code::OPENCODE_ERROR, text))
        }),
    }
}

/// Bytes of the script's words in a message: two paths and a sentence.
const SCRIPT_WORDS_BYTES: usize = 600;
/// Before each line of the script around opencode.
const SCRIPT: &str = "paperclip: ";

/// What the script's exit code means, and what it has said itself: it knows the file, and what is wrong with it.
fn with_words_of_the_script(reason: &str, lines: &[String]) -> String {
    let said = lines
        .iter()
        .rev()
        .find_map(|line| line.trim().strip_prefix(SCRIPT));
    match (said, reason.split_once(": ")) {
        (Some(said), Some((what, _))) => format!("{what}: {}", prefix(said, SCRIPT_WORDS_BYTES)),
        _ => reason.to_owned(),
    }
}

/// opencode exited without an event: only its stderr says why.
fn not_started(facts: &FoldedFacts, exit: i32, lines: &[String]) -> OutcomeFailure {
    // A reason in words is that of the script around opencode, which did not get so far.
    if let Some(reason) = facts.reason.as_deref().filter(|reason| reason.contains(' ')) {
        return OutcomeFailure::new(code::START_FAILED, with_words_of_the_script(reason, lines)).explained();
    }
    let said = command_line::refusal(lines).or_else(|| {
        let said = stderr::excerpt(lines).or_else(|| message::stray(facts));
        said.map(|said| match stderr::hint(&said) {
            Some(hint) => format!("{said} ({hint})"),
            None => said,
        })
    });
    let explained = said.is_some();
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    let text = format!("opencode did not start (exit code {exit}){said}");
    OutcomeFailure {
        explained,
        ..OutcomeFailure::new(code::START_FAILED, text)
    }
}

/// An end of opencode's own and the whole log, but no final `stop` step. With an answer that is a success all the same.
fn no_answer(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let sum = &facts.summary;
    let reason = sum.last_reason.as_deref().unwrap_or_default();
    let last = sum.last_step;
    if !sum.open_step && reason == "content-filter" {
        let text = "Content filter: the provider's content filter blocked the answer";
        return Some(OutcomeFailure::new(code::CONTENT_FILTERED, text).explained());
    }
    if !sum.open_step && reason == "length" && !last.spoke && !last.used_tool {
        let failure = OutcomeFailure::new(code::LLM_API_ERROR, errors::output_limit());
        return Some(failure.explained().not_retryable());
    }
    if sum.events == 0 {
        let text = NO_OUTPUT;
        let failure = OutcomeFailure::new(code::UNKNOWN_OUTCOME, text);
        return errors::by_stderr(facts, lines).or(Some(failure));
    }
    // The log is a file, and whole: what it does not say did not happen.
    if sum.open_step && !last.spoke || !sum.open_step && reason == "tool-calls" {
        let text = "Ended too early: opencode ended by itself in the middle of the run, and the model had not \
                    finished its answer";
        return errors::by_stderr(facts, lines).or(Some(OutcomeFailure::new(code::UNKNOWN_OUTCOME, text)));
    }
    // opencode has asked the model to go on after a summary of the conversation, and nothing came.
    if !sum.open_step && reason == "stop" && sum.compactions > 0 && sum.answer.is_empty() {
        let text = "Ended too early: opencode summed the conversation up and ended by itself before the model went on";
        return Some(OutcomeFailure::new(code::UNKNOWN_OUTCOME, text));
    }
    if !sum.open_step && (reason == "error" || is_broken_off(reason) && !last.spoke && sum.has_output()) {
        let text = format!("Answer broke off: the model's last answer is empty (it ended with {reason:?})");
        return Some(OutcomeFailure::new(code::STREAM_EOF, text));
    }
    if sum.has_output() {
        return None;
    }
    if sum.session_id.is_none() {
        let text = NO_OUTPUT;
        return Some(OutcomeFailure::new(code::UNKNOWN_OUTCOME, text));
    }
    Some(empty_response())
}

/// Whether a step ended without a reason that means an end.
fn is_broken_off(reason: &str) -> bool {
    ["unknown", "other", ""].contains(&reason)
}

const NO_OUTPUT: &str = "No output: opencode ended without any output";

fn empty_response() -> OutcomeFailure {
    OutcomeFailure::new(
        code::LLM_API_ERROR,
        "LLM API returned empty response (0 output tokens)",
    )
}

fn unknown(sum: &Summary) -> String {
    let seen = match (sum.events, sum.last_reason.as_deref()) {
        (0, _) => "no output was seen".to_owned(),
        (_, None) => "the output stops in the first step".to_owned(),
        (_, Some(reason)) => format!("the last finished step says {reason}"),
    };
    format!("Outcome unknown: nothing proves that the log is complete, and {seen}")
}
