//! From the tails to the host: lines are folded, redacted and given out as they arrive.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch as signal;
use tokio::task::{block_in_place, yield_now};
use tokio::time::Instant;
use tokio::time::sleep_until;

use crate::opencode::bounded::suffix;
use crate::opencode::{LastEvent, Transcript};
use crate::run::host::Kind;
use crate::run::host::log::HostLog;
use crate::run::outcome::Excerpt;
use crate::run::redact::display::Redactor;
use crate::run::redact::home;
use crate::run::stop::Stop;
use crate::run::timing::DELIVERY_ON_STOP;
use crate::tail::follower::{Look, Proof};
use crate::tail::framer::CUT_MARKER;
use crate::tail::{Tail, text_buffers};

/// Work after which other runs get their turn on this worker of the runtime, in bytes of lines: some milliseconds.
const YIELD_AFTER: usize = 64 << 10;

/// A line, however short, is as much work as so many bytes: a log of newlines has a million of them in 1 MiB.
const LINE_COST: usize = 64;

/// A text over this size is worked on beside the runtime's workers: one of 1 MiB can take 50 ms, and one of 16 MiB a
/// tenth of a second and more.
const LARGE_TEXT: usize = 256 << 10;

/// What came out of a log that is over.
pub struct Delivery {
    /// The fold of all lines.
    pub transcript: Transcript,
    /// The bounded part that is stored.
    pub excerpt: Excerpt,
    /// What is known about completeness.
    pub proof: Proof,
    /// Bytes of text that were given out.
    pub bytes: u64,
}

/// What the output says while it comes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct OutputState {
    /// Both streams were read to their end.
    pub is_over: bool,
    /// opencode repeats itself without getting on, beyond doubt.
    pub is_in_circle: bool,
    /// What opencode's last event is.
    pub last: LastEvent,
    /// When the last text came, on stdout or stderr.
    pub last_output: Option<Instant>,
}

/// Delivers opencode's stdout until its tail ends.
pub async fn stdout(
    tail: &Tail,
    host_log: &HostLog,
    stop: &Stop,
    redactor: &Redactor,
    output: &signal::Sender<OutputState>,
) -> Delivery {
    let mut transcript = Transcript::new();
    let mut excerpt = Excerpt::default();
    let mut bytes = 0;
    loop {
        let Some(look) = next(tail, stop).await else {
            return Delivery {
                transcript,
                excerpt,
                proof: Proof::Failed("the run was cancelled, and its log has no end".to_owned()),
                bytes,
            };
        };
        for notice in &look.notices {
            host_log.warn(notice).await;
        }
        if look.is_again {
            // What was folded is not what the log holds.
            (transcript, excerpt) = (Transcript::new(), Excerpt::default());
        }
        let mut text = String::with_capacity(look.text.len());
        let mut lines = look.lines_of_file().split_terminator('\n').peekable();
        let mut turn = Turn::default();
        while let Some(line) = lines.next() {
            if turn.is_over_with(line) {
                yield_now().await;
            }
            let is_cut = look.cut && lines.peek().is_none();
            let line = beside_others(line.len(), || {
                fold_line(line, is_cut, redactor, &mut transcript, &mut excerpt)
            });
            if look.of_file.is_none() {
                text.push_str(&line);
                text.push('\n');
            }
        }
        if look.of_file.is_some() {
            text = redact_all(&look.text, redactor);
        }
        // Before the host is waited for: of the largest line there should be one copy, not two.
        text_buffers::give_back(look.text);
        if !text.is_empty() {
            bytes += text.len() as u64;
            host_log.activity(transcript.activity());
            let is_in_circle = transcript.circle_now().is_some();
            output.send_if_modified(|state| {
                state.last = transcript.last_event();
                std::mem::replace(&mut state.is_in_circle, is_in_circle) != is_in_circle
            });
            host_log.lines(Kind::Stdout, &text).await;
            note_output(output);
        }
        if let Some(proof) = look.end {
            return Delivery {
                transcript,
                excerpt,
                proof,
                bytes,
            };
        }
    }
}

/// Folds one line of the log without the run's secrets, so that no bound of the fold leaves half of one; gives the line
/// as the host gets it.
pub fn fold_line(
    line: &str,
    is_cut: bool,
    redactor: &Redactor,
    transcript: &mut Transcript,
    excerpt: &mut Excerpt,
) -> String {
    let ends_cut = is_cut || line.ends_with(CUT_MARKER);
    let hidden = match line.strip_suffix(CUT_MARKER) {
        Some(head) => Cow::Owned(format!("{}{CUT_MARKER}", redactor.hide_cut(head))),
        None if is_cut => redactor.hide_cut(line),
        None => redactor.hide(line),
    };
    // A secret that is a number may be another number in the line.
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let is_broken = !ends_cut && hidden.len() != line.len() && is_json(line) && !is_json(&hidden);
    let folded = if is_broken { line } else { hidden.as_ref() };
    if is_cut {
        transcript.push_cut(folded);
    } else {
        transcript.push_line(folded);
    }
    let shown = home::home_paths(&hidden);
    excerpt.push_line(&shown);
    shown
}

/// How much of the end of stderr a message can use.
const STDERR_KEPT: usize = 16 << 10;

/// The end of stderr, of whole lines as far as they fit, without the run's secrets.
pub fn keep_end(kept: &mut String, more: &str) {
    kept.push_str(more);
    if kept.len() <= STDERR_KEPT {
        return;
    }
    let end = suffix(kept, STDERR_KEPT);
    // Half a word at its beginning could be half a secret, which nobody would know as one.
    let whole = match end.split_once('\n') {
        Some((_, lines)) if !lines.is_empty() => lines,
        _ => end.split_once(char::is_whitespace).map_or("", |(_, rest)| rest),
    };
    kept.drain(..kept.len() - whole.len());
}

/// What was done on this worker of the runtime since other runs had their turn.
#[derive(Debug, Default)]
struct Turn(usize);

impl Turn {
    fn is_over_with(&mut self, line: &str) -> bool {
        self.0 += LINE_COST + line.len();
        let is_over = self.0 >= YIELD_AFTER;
        if is_over {
            self.0 = 0;
        }
        is_over
    }
}

/// There was output. Said when the host has it: while it is slow to take a text nobody reads on, and that is no silence
/// of the agent.
fn note_output(output: &signal::Sender<OutputState>) {
    output.send_if_modified(|state| {
        state.last_output = Some(Instant::now());
        false
    });
}

/// Delivers opencode's stderr until its tail ends; gives back its last part.
pub async fn stderr(
    tail: &Tail,
    host_log: &HostLog,
    stop: &Stop,
    redactor: &Redactor,
    output: &signal::Sender<OutputState>,
) -> String {
    let mut kept = String::new();
    loop {
        let Some(look) = next(tail, stop).await else {
            return kept;
        };
        if !look.text.is_empty() {
            let text = redact_all(&look.text, redactor);
            keep_end(&mut kept, &text);
            host_log.lines(Kind::Stderr, &text).await;
            note_output(output);
        }
        if look.end.is_some() {
            return kept;
        }
    }
}

/// The next look; `None` when a cancel has waited for the end of the file long enough. Whatever an agent does to its
/// log, a cancel is answered.
async fn next(tail: &Tail, stop: &Stop) -> Option<Look> {
    let is_over = async {
        stop.asked().await;
        if let Some(at) = stop.asked_at() {
            sleep_until(at + DELIVERY_ON_STOP).await;
        }
    };
    tokio::select! {
        biased;
        () = is_over => None,
        look = tail.next() => Some(look),
    }
}

fn redact_all(text: &str, redactor: &Redactor) -> String {
    beside_others(text.len(), || {
        redactor
            .hide(text)
            .split_inclusive('\n')
            .map(home::home_paths)
            .collect()
    })
}

/// Does the work for a text of so many bytes. For a large one the other tasks of this worker go to another thread
/// meanwhile; a runtime of one thread has none.
pub(super) fn beside_others<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let has_others = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if bytes > LARGE_TEXT && has_others() {
        block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_of_nothing_are_work_as_well() {
        let mut turn = Turn::default();
        let turns = std::iter::repeat_n("", 120 << 10).filter(|line| turn.is_over_with(line));
        assert_eq!(turns.count(), 120);
    }

    /// The other task can only run on the one worker, on which the large text is worked on.
    #[test]
    fn a_large_text_leaves_its_worker_to_other_tasks() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        let work = runtime.spawn(async {
            let (sender, receiver) = mpsc::channel();
            tokio::spawn(async move { sender.send("another task") });
            beside_others(LARGE_TEXT + 1, || receiver.recv_timeout(Duration::from_secs(60)))
        });
        let heard = runtime.block_on(work).expect("the work");
        assert_eq!(heard, Ok("another task"));
    }
}
