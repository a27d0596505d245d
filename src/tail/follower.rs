//! Follows one log: what to do at each look at the file, and when the tail is over. It has no clock (the time is an
//! argument), no thread and no file (the source is an argument).

use std::time::Duration;

use super::cadence::{Cadence, TailOptions};
use super::delivered_lines::DeliveredLines;
use super::file_check::RecordedContent;
use super::finish_rule::retry_wait;
pub use super::finish_rule::{FinishRule, Proof};
use super::finishing::Finishing;
use super::framer::Framer;
use super::keyed_hash::FileContent;
use super::line_collector::LineCollector;
use super::reader::{ReadOutcome, Reader};
use super::source::{LogSource, SourceError};

/// Size of the buffer for [`LogFollower::look`]: one look reads at most this much, so that a noisy run does not keep
/// the others waiting. V8 takes ten times as long for a string of 128 KiB and more.
pub const CHUNK: usize = 120 << 10;

/// Spare capacity behind the lines of a look: the boundary appends there whose lines they are.
const SPARE_BYTES: usize = 256;

/// The wait after a look that found NULs only, when somebody waits for the end: a file can hold terabytes of them.
const NUL_PACE: Duration = Duration::from_millis(20);

/// What one look found.
#[derive(Debug, Default)]
pub struct Look {
    /// Whole lines, each with its newline.
    pub text: String,
    /// The file turned out to be another one than was read: what it holds begins with this look. Only with
    /// [`TailOptions::digest`].
    pub is_again: bool,
    /// The file's lines, where `text` leaves out some that were given before; `None`: they are `text`. Only with
    /// [`TailOptions::digest`].
    pub of_file: Option<String>,
    /// Sentences for a person, each given once in the life of the tail.
    pub notices: Vec<String>,
    /// Set when the tail is over.
    pub end: Option<Proof>,
    /// With the end: all lines of the tail, if [`TailOptions::collect`] asks for them.
    pub collected: Option<Box<LineCollector>>,
    /// The last line of the file's has no newline there.
    pub cut: bool,
    /// When to look again; zero while there is more to read.
    pub again_in: Duration,
}

impl Look {
    /// Whether there is nothing in it for the consumer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines_of_file().is_empty() && self.notices.is_empty() && self.end.is_none() && !self.is_again
    }

    /// The file's lines that this look found.
    #[must_use]
    pub fn lines_of_file(&self) -> &str {
        self.of_file.as_deref().unwrap_or(&self.text)
    }

    /// Bytes of its texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + self.of_file.as_ref().map_or(0, String::len)
    }

    /// Adds what a later look found, before the consumer took this one.
    pub fn add(&mut self, later: Self) {
        if later.is_again {
            self.is_again = true;
            self.of_file = Some(later.lines_of_file().to_owned());
        } else if self.of_file.is_some() || later.of_file.is_some() {
            let lines = [self.lines_of_file(), later.lines_of_file()].concat();
            self.of_file = Some(lines);
        }
        self.text.push_str(&later.text);
        self.notices.extend(later.notices);
        self.end = self.end.take().or(later.end);
        self.collected = self.collected.take().or(later.collected);
        self.cut |= later.cut;
        self.again_in = later.again_in;
    }
}

/// The state of one tail.
pub struct LogFollower {
    pub(super) reader: Reader,
    pub(super) shown: String,
    options: TailOptions,
    pub(super) framer: Framer,
    pub(super) delivered: DeliveredLines,
    collector: Option<Box<LineCollector>>,
    cadence: Cadence,
    started_at: Duration,
    reported_kinds: Vec<String>,
    pub(super) finish_rule: Option<(FinishRule, Duration)>,
    pub(super) finishing: Finishing,
}

impl LogFollower {
    /// `shown`: the path as messages name it. `now`: the time of the first look.
    #[must_use]
    pub fn new(source: Box<dyn LogSource>, shown: String, options: TailOptions, now: Duration) -> Self {
        Self {
            reader: Reader::new(source, options.digest, options.nuls_pass, now),
            shown,
            options,
            framer: Framer::default(),
            delivered: DeliveredLines::default(),
            collector: options.collect.then(Box::default),
            cadence: Cadence::default(),
            started_at: now,
            reported_kinds: Vec::new(),
            finish_rule: None,
            finishing: Finishing::default(),
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// Bytes that were there at the last look and are not read yet. The size may be old: never less than none.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.reader.size().saturating_sub(self.reader.offset())
    }

    /// The mount of the file: files of one mount stall together.
    #[must_use]
    pub fn mount(&self) -> &str {
        self.reader.source().mount()
    }

    /// The run is over: finish by this rule. A later rule counts only if it outranks the earlier one.
    pub fn end(&mut self, rule: FinishRule, now: Duration) {
        if self
            .finish_rule
            .as_ref()
            .is_none_or(|(known, _)| rule.outranks(known))
        {
            if rule == FinishRule::Drain {
                self.reader.drain()
            } else {
                self.reader.end()
            }
            self.finish_rule = Some((rule, now));
            self.finishing = Finishing::default();
        }
    }

    /// Looks at the file.
    pub fn look(&mut self, now: Duration, buffer: &mut [u8]) -> Look {
        let mut look = Look::default();
        let record = recorded(self.finish_rule.as_ref());
        let before = match self.reader.is_checking() {
            true => FileContent::of(self.delivered.lines_of_file(), &self.framer),
            false => FileContent::default(),
        };
        let got = self.reader.read_on(now, record, before, buffer);
        for (kind, text) in self.reader.take_notices() {
            self.report(&kind, || text, &mut look);
        }
        match got {
            Ok(got) => self.after_read(got, now, buffer, &mut look),
            Err(error) => self.after_error(&error, now, &mut look),
        }
        if self.framer.take_cut_lines() > 0 {
            self.report(
                "long",
                || "a line of the log is over 16 MiB and was cut".to_owned(),
                &mut look,
            );
        }
        look.is_again &= self.options.digest;
        (look.text, look.of_file) = self.delivered.take_text();
        look.of_file = look.of_file.filter(|_| self.options.digest);
        self.check_proof(&mut look);
        if let Some(collector) = &mut self.collector {
            collector.add(&look.text);
        }
        if look.end.is_some() {
            look.collected = self.collector.take();
        }
        look
    }

    /// After a look that could read: is there more, is the tail over, when to look again?
    fn after_read(&mut self, got: ReadOutcome, now: Duration, buffer: &[u8], look: &mut Look) {
        match got {
            ReadOutcome::Bytes {
                from,
                until,
                more,
                only_nuls,
            } => {
                let fresh = buffer.get(from..until).unwrap_or_default();
                // An unfinished line of many megabytes is worth no room before it ends.
                let partial = self.framer.partial().0.len().min(fresh.len());
                self.delivered.reserve(partial + fresh.len() + SPARE_BYTES);
                self.framer.push(fresh, &mut self.delivered);
                let paced = self.cadence.next(&self.options, !only_nuls);
                look.again_in = match (&self.finish_rule, only_nuls) {
                    (Some(_), true) => NUL_PACE,
                    (None, false) if !more => paced,
                    (None, true) => paced,
                    _ => Duration::ZERO,
                };
            }
            ReadOutcome::Nothing => look.again_in = self.cadence.next(&self.options, false),
            ReadOutcome::Checking => look.again_in = Duration::ZERO,
            ReadOutcome::Doubtful => {
                look.again_in = self.options.poll.min(retry_wait(self.reader.doubt_age(now)));
            }
            ReadOutcome::Restarted(why) => {
                self.framer.reset();
                self.delivered.restart();
                look.is_again = true;
                // Not at once: a file that keeps changing must not keep a thread busy.
                look.again_in = self.options.poll.min(retry_wait(Duration::ZERO));
                self.report(
                    why,
                    || format!("the log file {why}; it is read again from its start"),
                    look,
                );
            }
        }
        self.apply_rule(got, now, look);
    }

    /// After a look that failed: each kind of error is reported once and retried. Only the end of the run, or a file
    /// that never was there, ends the tail.
    fn after_error(&mut self, error: &SourceError, now: Duration, look: &mut Look) {
        // Another server that harvested the same run may have removed the file: what was read whole is whole.
        if let Some(record) = recorded(self.finish_rule.as_ref())
            && self.reader.is_recorded(record)
        {
            let (bytes, has_digest) = (record.bytes, record.sha256.is_some());
            return self.complete(bytes, has_digest, look);
        }
        look.again_in = self.cadence.next(&self.options, false);
        if !self.reader.was_there() {
            look.again_in = self.options.poll;
            if let SourceError::Hostile(what) = error {
                let message = format!("Pod log file at {} is not read: {what}", self.shown);
                return self.finish(Proof::Failed(message), look);
            }
            if self
                .options
                .appear
                .is_some_and(|limit| now.saturating_sub(self.started_at) >= limit)
            {
                let message = format!("Pod log file never appeared at {}", self.shown);
                return self.finish(Proof::Failed(message), look);
            }
        }
        if self.reader.was_there() || *error != SourceError::Missing {
            self.report(&error.to_string(), || read_error_notice(error), look);
        }
        let Some((rule, asked)) = self.finish_rule.clone() else {
            return;
        };
        let waited = now.saturating_sub(asked);
        let absent = *error == SourceError::Missing && !self.reader.was_there();
        if waited < rule.time_limit(self.visibility_lag()) && !(absent && rule == FinishRule::Drain) {
            self.reader.want_fresh();
            look.again_in = retry_wait(waited);
            return;
        }
        match rule {
            FinishRule::Prove { bytes, .. } => {
                self.finish(
                    Proof::Incomplete {
                        have: self.offset(),
                        want: bytes,
                    },
                    look,
                );
            }
            FinishRule::Drain if !absent => self.unreadable(&error.to_string(), look),
            FinishRule::Drain | FinishRule::Settle { .. } => self.finish(Proof::Unproven, look),
        }
    }

    pub(super) fn report(&mut self, kind: &str, text: impl FnOnce() -> String, look: &mut Look) {
        if !self.reported_kinds.iter().any(|known| known == kind) {
            self.reported_kinds.push(kind.to_owned());
            look.notices.push(text());
        }
    }
}

/// What the end record says of the log.
fn recorded(rule: Option<&(FinishRule, Duration)>) -> Option<RecordedContent<'_>> {
    match rule {
        Some((FinishRule::Prove { bytes, sha256, .. }, _)) => Some(RecordedContent {
            bytes: *bytes,
            sha256: sha256.as_deref(),
        }),
        _ => None,
    }
}

/// The notice about an error that may pass.
pub(super) fn read_error_notice(error: &SourceError) -> String {
    format!("reading the log file failed ({error}); trying again")
}
