//! What a run used is reported by exactly one result, also when several servers see its end: a server and its successor
//! that follow one Job, or a run that was given up before its Job could be removed and the run that harvests that Job.
//! Whoever reports first leaves a note of it beside the log; whoever comes later reports the rest. Whoever finds that
//! the run was harvested and cleaned up by another server reports nothing.

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::run::job::handle::JobHandle;
use crate::run::outcome::Usage;
use crate::run::report::{Report, Used};
use crate::run::seal::Kind;
use crate::run::timing::{USAGE_NOTE, USAGE_NOTE_LOOK, USAGE_NOTE_REMOVAL, USAGE_NOTE_WRITE};

/// Takes off what was reported before, and notes what is reported by now; whether that is settled. Where no file can be
/// made (root squash), all is reported. While the volume does not answer, nobody knows what another server reports: the
/// one that made the Job reports all, and one that took it over nothing, so that its run is to stay unreported.
pub async fn settle(handle: &JobHandle, report: &mut Report) -> bool {
    let used = report.used();
    if used.is_nothing() {
        return true;
    }
    let is_noted = note(handle, used, IfLate::Undo).await == Some(true);
    // Asked after the note was made: who cleans up takes the log away first, and then the note.
    if handle.is_harvested().await {
        if is_noted && is_taken_away(handle).await {
            // It was there in time: who cleaned up has reported only the rest.
            return true;
        }
        if is_noted {
            forget(handle).await;
        }
        report.set_used(Used::default());
        return true;
    }
    if is_noted {
        return true;
    }
    let is_first = handle.holder.is_none() && !handle.without_job;
    // What the first server reports it reports in any case.
    let if_late = if is_first { IfLate::Keep } else { IfLate::Undo };
    let before = reported(handle).await;
    if let Reported::Already(reported) = before {
        if reported != used {
            forget(handle).await;
            note(handle, used, if_late).await;
        }
        report.set_used(used.minus(reported));
        return true;
    }
    let is_read = matches!(before, Reported::Nothing);
    if is_read {
        forget(handle).await;
    }
    let is_left = (is_read || is_first) && note(handle, used, if_late).await.is_some();
    if is_left || is_first {
        return true;
    }
    report.set_used(Used::default());
    false
}

/// Whether somebody who cleans up takes the note away as well, and does not just stand between the log and the note.
async fn is_taken_away(handle: &JobHandle) -> bool {
    sleep(handle.budget().at_most(USAGE_NOTE_REMOVAL)).await;
    handle.servers_file(&handle.names.usage, USAGE_NOTE).await == Some(None)
}

async fn forget(handle: &JobHandle) {
    let (files, name) = (handle.files.clone(), handle.names.usage.clone());
    handle
        .volume
        .within(handle.budget().limit(USAGE_NOTE), move || {
            files.remove([name.as_str()])
        })
        .await;
}

/// What becomes of a note that is made when nobody waits for it any more, because the volume did not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfLate {
    Keep,
    Undo,
}

/// Leaves a note of what is reported; false when somebody else's is there, or none can be made, and `None` when the
/// volume does not answer.
async fn note(handle: &JobHandle, used: Used, if_late: IfLate) -> Option<bool> {
    let (files, name, owner) = (handle.files.clone(), handle.names.usage.clone(), handle.owner);
    let text = json!({"usage": used.usage, "costUsd": used.cost_usd}).to_string();
    let text = format!(
        "{text}\n{}",
        handle.seal.of(Kind::Usage, &[&handle.run_id, &text])
    );
    let (files_late, name_late) = (files.clone(), name.clone());
    let make = move || {
        let made = files.prepare(owner, &[(&name, text.as_bytes())]);
        made.is_ok_and(|made| made.by_server)
    };
    let undo = move |is_made| {
        if is_made && if_late == IfLate::Undo {
            files_late.remove([name_late.as_str()]);
        }
    };
    let limit = handle.budget().limit(USAGE_NOTE);
    handle.volume.within_or_undone(limit, make, undo).await
}

/// What somebody else reported.
enum Reported {
    /// So much.
    Already(Used),
    /// No server has left a word.
    Nothing,
    /// The volume does not answer.
    Unknown,
}

/// Reads somebody else's note. Between making and writing it lies a moment.
async fn reported(handle: &JobHandle) -> Reported {
    let until = Instant::now() + USAGE_NOTE_WRITE;
    loop {
        let content = match handle.servers_file(&handle.names.usage, USAGE_NOTE).await {
            Some(Some(content)) => content,
            Some(None) => return Reported::Nothing,
            None => return Reported::Unknown,
        };
        if let Some(note) = sealed(handle, &content) {
            return Reported::Already(of_note(&note));
        }
        if Instant::now() >= until {
            return Reported::Nothing;
        }
        sleep(USAGE_NOTE_LOOK).await;
    }
}

/// The note, if a server wrote it about this run.
fn sealed(handle: &JobHandle, content: &[u8]) -> Option<Value> {
    let (text, seal) = std::str::from_utf8(content).ok()?.split_once('\n')?;
    let is_ours = handle.seal.is_of(seal, Kind::Usage, &[&handle.run_id, text]);
    is_ours.then(|| serde_json::from_str(text).ok())?
}

/// What is no number is nothing.
fn of_note(note: &Value) -> Used {
    let tokens = |field: &str| note["usage"][field].as_u64().unwrap_or_default();
    Used {
        usage: Usage {
            input_tokens: tokens("inputTokens"),
            output_tokens: tokens("outputTokens"),
            cached_input_tokens: tokens("cachedInputTokens"),
        },
        cost_usd: note["costUsd"].as_f64().unwrap_or_default().max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: u64, cost: f64) -> Used {
        of_note(
            &json!({"usage": {"inputTokens": input, "outputTokens": 2, "cachedInputTokens": 1}, "costUsd": cost}),
        )
    }

    #[test]
    fn only_what_was_not_reported_is_left() {
        let rest = of(30, 0.75).minus(of(10, 0.5));
        assert_eq!((rest.usage.input_tokens, rest.cost_usd), (20, 0.25));
        let same = of(30, 0.1 + 0.2).minus(of(30, 0.3));
        assert_eq!((same.usage.input_tokens, same.cost_usd), (0, 0.0));
    }

    #[test]
    fn a_hostile_note_takes_nothing_below_nothing() {
        for note in [
            json!({"usage": {"inputTokens": 99}, "costUsd": 9.0}),
            json!({"costUsd": -1.0}),
            json!("x"),
            json!({"usage": [1], "costUsd": "no"}),
        ] {
            let rest = of(30, 0.5).minus(of_note(&note));
            assert!((0.0..=0.5).contains(&rest.cost_usd) && rest.usage.input_tokens <= 30);
        }
    }
}
