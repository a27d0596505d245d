//! What a run used is reported by exactly one result, also when several servers see its end: a server and its successor
//! that follow one Job, or a run that was given up before its Job could be removed and the run that harvests that Job.
//! Whoever reports first leaves a note of it beside the log; whoever comes later reports the rest. Whoever finds that
//! the run was harvested and cleaned up by another server reports nothing.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::run::job::handle::JobHandle;
use crate::run::outcome::Usage;
use crate::run::report::{Report, Used};
use crate::run::seal::Kind;
use crate::run::timing::{USAGE_NOTE, USAGE_NOTE_LOOK, USAGE_NOTE_REMOVAL, USAGE_NOTE_WRITE};
use crate::tail::source::SourceError;

/// Takes off what was reported before, and notes what is reported by now; whether that is settled. Where no file can be
/// made (root squash), all is reported. While the volume does not answer, nobody knows what another server reports: the
/// one that made the Job reports all, and one that took it over nothing, so that its run is to stay unreported until
/// the next one of its task. Where none comes, it reports all: the host has asked for this very run again.
pub async fn settle(handle: &JobHandle, report: &mut Report) -> bool {
    let used = report.used();
    if used.is_nothing() {
        return true;
    }
    let note = Note::of(handle, used);
    let is_noted = note.leave(handle).await == Some(true);
    // Asked after the note was made: who cleans up takes the log away first, and then the note.
    if handle.is_harvested().await {
        if is_noted && is_taken_away(handle).await {
            // It was there in time: who cleaned up has reported only the rest.
            return true;
        }
        if is_noted || !note.give_up() {
            forget(handle).await;
        }
        report.set_used(Used::default());
        return true;
    }
    if is_noted {
        return true;
    }
    let is_first = handle.holder.is_none() && !handle.without_job;
    let reports_all = is_first || !handle.has_task;
    let made = match reported(handle, &note).await {
        Reported::Already {
            used: reported,
            note: was,
        } => {
            let rest = used.minus(reported);
            if !rest.is_nothing() {
                Note::of(handle, reported.plus(rest)).replace(handle, was).await;
            }
            report.set_used(rest);
            return true;
        }
        Reported::Own => return true,
        Reported::Unreadable(was) => note.replace(handle, was).await,
        Reported::Nothing => note.leave(handle).await,
        Reported::Unknown if reports_all => note.leave(handle).await,
        Reported::Unknown => None,
    };
    match made {
        Some(true) => true,
        Some(false) => {
            // Somebody was faster: another server, or the call that had hung.
            if let Reported::Already { used: reported, .. } = reported(handle, &note).await {
                report.set_used(used.minus(reported));
            }
            true
        }
        // What the first server reports it reports in any case.
        None => reports_all || is_reported_late(&note, report),
    }
}

/// All is reported where the note was made after all, and nothing where it was not.
fn is_reported_late(note: &Note, report: &mut Report) -> bool {
    if note.give_up() {
        report.set_used(Used::default());
        return false;
    }
    true
}

/// Whether somebody who cleans up takes the note away as well, and does not just stand between the log and the note.
async fn is_taken_away(handle: &JobHandle) -> bool {
    sleep(handle.budget().at_most(USAGE_NOTE_REMOVAL)).await;
    handle.servers_file(&handle.names.usage, USAGE_NOTE).await == Some(None)
}

async fn forget(handle: &JobHandle) {
    let limit = handle.budget().limit(USAGE_NOTE);
    handle
        .volume
        .remove(limit, &handle.files, [&handle.names.usage])
        .await;
}

/// The note of what this server reports.
struct Note {
    /// Tells it from one that another server wrote with the same figures.
    word: String,
    content: String,
    late: Arc<Mutex<LateNote>>,
}

/// What becomes of a note that is made when nobody waits for the call any more, because the volume did not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LateNote {
    /// It stays, and is counted on.
    Wanted,
    /// It is there.
    Made,
    /// It is removed by the call that makes it.
    Unwanted,
}

impl Note {
    fn of(handle: &JobHandle, used: Used) -> Self {
        let word = JobHandle::new_word();
        let text = json!({"usage": used.usage, "costUsd": used.cost_usd, "word": word}).to_string();
        let seal = handle.seal.of(Kind::Usage, &[&handle.run_id, &text]);
        let content = format!("{text}\n{seal}");
        let late = Arc::new(Mutex::new(LateNote::Wanted));
        Self { word, content, late }
    }

    /// Makes the file; false when there is one, or none can be made, and `None` when the volume does not answer.
    async fn leave(&self, handle: &JobHandle) -> Option<bool> {
        let (files, name, owner) = (handle.files.clone(), handle.names.usage.clone(), handle.owner);
        let content = self.content.clone();
        self.make(handle, move || {
            match files.prepare(owner, &[(&name, content.as_bytes())]) {
                Ok(made) => Ok(made.by_server),
                Err(error) => error.of_volume().map_or(Ok(false), Err),
            }
        })
        .await
    }

    /// As [`Self::leave`], in the place of a note that is still as it was read. One of the two stands whenever that is
    /// done: a note that is removed first, and made when the volume answers again, would be missing meanwhile.
    async fn replace(&self, handle: &JobHandle, was: Vec<u8>) -> Option<bool> {
        let (files, names, owner) = (handle.files.clone(), handle.names.clone(), handle.owner);
        let content = self.content.clone();
        self.make(handle, move || {
            let places = [names.usage.as_str(), &names.usage_draft];
            files.replace(owner, places, [&was, content.as_bytes()])
        })
        .await
    }

    /// Again while the volume answers with an error that may pass.
    async fn make(
        &self,
        handle: &JobHandle,
        make: impl Fn() -> Result<bool, SourceError> + Clone + Send + 'static,
    ) -> Option<bool> {
        let (files, name) = (handle.files.clone(), handle.names.usage.clone());
        let late = self.late.clone();
        let made_late = move |made| {
            if made == Ok(true) && Self::made_late(&late) == LateNote::Unwanted {
                files.remove([name.as_str()]);
            }
        };
        let limit = handle.budget().limit(USAGE_NOTE);
        let made = handle.volume.until_answered_or_undone(limit, make, made_late);
        Some(made.await?.unwrap_or(false))
    }

    fn made_late(late: &Mutex<LateNote>) -> LateNote {
        let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
        if *late == LateNote::Wanted {
            *late = LateNote::Made;
        }
        *late
    }

    /// A call that makes it from here on removes it again; false when one has made it already.
    fn give_up(&self) -> bool {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if *late == LateNote::Wanted {
            *late = LateNote::Unwanted;
        }
        *late == LateNote::Unwanted
    }
}

/// What the note in the run's folder says.
enum Reported {
    /// Another server has reported so much.
    Already {
        used: Used,
        /// As it was read.
        note: Vec<u8>,
    },
    /// It is the one that this server made, late.
    Own,
    /// No server wrote it, or one died over it: as it was read.
    Unreadable(Vec<u8>),
    /// There is none.
    Nothing,
    /// The volume does not answer.
    Unknown,
}

/// Reads the note. Between making and writing it lies a moment.
async fn reported(handle: &JobHandle, own: &Note) -> Reported {
    let until = Instant::now() + USAGE_NOTE_WRITE;
    loop {
        let content = match handle.servers_file(&handle.names.usage, USAGE_NOTE).await {
            Some(Some(content)) => content,
            Some(None) => return Reported::Nothing,
            None => return Reported::Unknown,
        };
        if let Some(note) = sealed(handle, &content) {
            if note["word"] == own.word {
                return Reported::Own;
            }
            return Reported::Already {
                used: of_note(&note),
                note: content,
            };
        }
        if Instant::now() >= until {
            return Reported::Unreadable(content);
        }
        sleep(USAGE_NOTE_LOOK).await;
    }
}

/// The note, if a server wrote it about this run.
fn sealed(handle: &JobHandle, content: &[u8]) -> Option<Value> {
    let text = handle.seal.usage_note(content, &handle.run_id)?;
    serde_json::from_str(text).ok()
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
