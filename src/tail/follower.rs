//! Follows one log: what to do at each look at the file, and when the tail is over. It has no clock (the time is an
//! argument), no thread and no file (the source is an argument).

use std::time::Duration;

use super::cadence::{Cadence, TailOptions};
use super::delivered_lines::DeliveredLines;
use super::finish_rule::retry_wait;
pub use super::finish_rule::{FinishRule, Proof};
use super::framer::{Framer, decode};
use super::line_collector::LineCollector;
use super::reader::{ReadOutcome, Reader};
use super::source::{LogSource, SourceError};

/// Size of the buffer for [`LogFollower::look`]: one look reads at most this much, so that a noisy run does not keep
/// the others waiting. V8 takes ten times as long for a string of 128 KiB and more.
pub const CHUNK: usize = 120 << 10;

/// Spare capacity behind the lines of a look: the boundary appends there whose lines they are.
const SPARE_BYTES: usize = 256;

/// What one look found.
#[derive(Debug, Default)]
pub struct Look {
    /// Whole lines, each with its newline.
    pub text: String,
    /// Sentences for a person, each given once in the life of the tail.
    pub notices: Vec<String>,
    /// Set when the tail is over.
    pub end: Option<Proof>,
    /// With the end: all lines of the tail, if [`TailOptions::collect`] asks for them.
    pub collected: Option<Box<LineCollector>>,
    /// The last line of `text` has no newline in the file.
    pub cut: bool,
    /// When to look again; zero while there is more to read.
    pub again_in: Duration,
}

impl Look {
    /// Whether there is nothing in it for the consumer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.notices.is_empty() && self.end.is_none()
    }

    /// Adds what a later look found, before the consumer took this one.
    pub fn add(&mut self, later: Self) {
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
    reader: Reader,
    shown: String,
    options: TailOptions,
    framer: Framer,
    delivered: DeliveredLines,
    collector: Option<Box<LineCollector>>,
    cadence: Cadence,
    started_at: Duration,
    reported_kinds: Vec<String>,
    finish_rule: Option<(FinishRule, Duration)>,
    quiet_since: Option<(Duration, u64)>,
}

impl LogFollower {
    /// `shown`: the path as messages name it. `now`: the time of the first look.
    #[must_use]
    pub fn new(source: Box<dyn LogSource>, shown: String, options: TailOptions, now: Duration) -> Self {
        Self {
            reader: Reader::new(source, options.digest, now),
            shown,
            options,
            framer: Framer::default(),
            delivered: DeliveredLines::default(),
            collector: options.collect.then(Box::default),
            cadence: Cadence::default(),
            started_at: now,
            reported_kinds: Vec::new(),
            finish_rule: None,
            quiet_since: None,
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.reader.offset()
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
            self.quiet_since = None;
        }
    }

    /// Looks at the file.
    pub fn look(&mut self, now: Duration, buffer: &mut [u8]) -> Look {
        let mut look = Look::default();
        let mut lines = Vec::new();
        let stop_at = match &self.finish_rule {
            Some((FinishRule::Prove { bytes, .. }, _)) => Some(*bytes),
            _ => None,
        };
        let got = self.reader.read_on(now, stop_at, buffer);
        for (kind, text) in self.reader.take_notices() {
            self.report(&kind, || text, &mut look);
        }
        match got {
            Ok(got) => self.after_read(got, now, buffer, &mut lines, &mut look),
            Err(error) => self.after_error(&error, now, &mut lines, &mut look),
        }
        if self.framer.take_cut_lines() > 0 {
            self.report(
                "long",
                || "a line of the log is over 16 MiB and was cut".to_owned(),
                &mut look,
            );
        }
        look.text = decode(self.delivered.keep_new(lines));
        if let Some(collector) = &mut self.collector {
            collector.add(&look.text);
        }
        if look.end.is_some() {
            look.collected = self.collector.take();
        }
        look
    }

    /// After a look that could read: is there more, is the tail over, when to look again?
    fn after_read(
        &mut self,
        got: ReadOutcome,
        now: Duration,
        buffer: &mut [u8],
        lines: &mut Vec<u8>,
        look: &mut Look,
    ) {
        match got {
            ReadOutcome::Bytes { from, until, more } => {
                let fresh = buffer.get(from..until).unwrap_or_default();
                lines.reserve(fresh.len() + SPARE_BYTES);
                self.framer.push(fresh, lines);
                let paced = self.cadence.next(&self.options, true);
                look.again_in = if more || self.finish_rule.is_some() {
                    Duration::ZERO
                } else {
                    paced
                };
            }
            ReadOutcome::Nothing => look.again_in = self.cadence.next(&self.options, false),
            ReadOutcome::Doubtful => look.again_in = self.options.poll.min(retry_wait(Duration::ZERO)),
            ReadOutcome::Restarted(why) => {
                self.framer.reset();
                self.delivered.restart();
                // Not at once: a file that keeps changing must not keep a thread busy.
                look.again_in = self.options.poll.min(retry_wait(Duration::ZERO));
                self.report(
                    why,
                    || format!("the log file {why}; it is read again from its start"),
                    look,
                );
            }
        }
        if let Some((rule, asked)) = self.finish_rule.clone() {
            self.apply_rule(&rule, now.saturating_sub(asked), got, now, buffer, lines, look);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a part of after_read, which would be too long with it"
    )]
    fn apply_rule(
        &mut self,
        rule: &FinishRule,
        waited: Duration,
        got: ReadOutcome,
        now: Duration,
        buffer: &mut [u8],
        lines: &mut Vec<u8>,
        look: &mut Look,
    ) {
        let idle = matches!(got, ReadOutcome::Nothing);
        let in_time = waited < rule.time_limit(self.visibility_lag());
        match rule {
            FinishRule::Drain if idle => self.finish(Proof::Unproven, lines, look),
            FinishRule::Drain if !in_time && !matches!(got, ReadOutcome::Bytes { .. }) => {
                self.unreadable("it keeps changing", lines, look)
            }
            FinishRule::Drain => {}
            FinishRule::Prove { bytes, sha256, .. } => {
                // The digest is compared at the end only: the reader of a rewritten file starts at 0 again.
                if self.offset() >= *bytes && self.reader.agrees(*bytes, sha256.as_deref(), buffer) {
                    self.proven(*bytes, lines, look);
                } else if !matches!(got, ReadOutcome::Bytes { .. }) {
                    self.retry_or_finish(
                        Proof::Incomplete {
                            have: self.offset(),
                            want: *bytes,
                        },
                        in_time,
                        waited,
                        lines,
                        look,
                    );
                }
            }
            // Whoever still writes there is not the pod of this run, and must not keep the tail from its end.
            FinishRule::Settle { .. } if !in_time && !matches!(got, ReadOutcome::Bytes { .. }) => {
                self.finish(Proof::Unproven, lines, look);
            }
            FinishRule::Settle { quiet } => self.settle(*quiet, idle, now, lines, look),
        }
    }

    /// The end record's byte count, when all of it was read and the digest agrees. Then an error of the file does not
    /// matter: another server that harvested the same run may have removed it.
    fn complete_bytes(&mut self) -> Option<u64> {
        let Some((FinishRule::Prove { bytes, sha256, .. }, _)) = &self.finish_rule else {
            return None;
        };
        let (bytes, read) = (*bytes, self.offset());
        (read == bytes && self.reader.agrees(bytes, sha256.as_deref(), &mut [])).then_some(bytes)
    }

    fn visibility_lag(&self) -> Duration {
        self.reader.source().freshness().visibility_lag()
    }

    fn proven(&mut self, bytes: u64, lines: &mut Vec<u8>, look: &mut Look) {
        let more = self.reader.size().saturating_sub(bytes);
        if more > 0 {
            let text =
                format!("{more} bytes follow in the log after its end record; they are not opencode's");
            self.report("more", || text, look);
        }
        self.finish(Proof::Proven, lines, look);
    }

    fn retry_or_finish(
        &mut self,
        proof: Proof,
        in_time: bool,
        waited: Duration,
        lines: &mut Vec<u8>,
        look: &mut Look,
    ) {
        if in_time {
            self.reader.want_fresh();
            look.again_in = retry_wait(waited);
        } else {
            self.finish(proof, lines, look);
        }
    }

    fn settle(&mut self, quiet: Duration, idle: bool, now: Duration, lines: &mut Vec<u8>, look: &mut Look) {
        match self.quiet_since {
            Some((since, offset)) if idle && offset == self.offset() => {
                if now.saturating_sub(since) >= quiet {
                    return self.finish(Proof::Unproven, lines, look);
                }
            }
            _ => self.quiet_since = Some((now, self.offset())),
        }
        if idle {
            self.reader.want_fresh();
            look.again_in = Duration::from_millis(250).min(quiet);
        }
    }

    /// After a look that failed: each kind of error is reported once and retried. Only the end of the run, or a file
    /// that never was there, ends the tail.
    fn after_error(&mut self, error: &SourceError, now: Duration, lines: &mut Vec<u8>, look: &mut Look) {
        if let Some(bytes) = self.complete_bytes() {
            return self.proven(bytes, lines, look);
        }
        look.again_in = self.cadence.next(&self.options, false);
        if !self.reader.was_there() {
            look.again_in = self.options.poll;
            if let SourceError::Hostile(what) = error {
                let message = format!("Pod log file at {} is not read: {what}", self.shown);
                return self.finish(Proof::Failed(message), lines, look);
            }
            if self
                .options
                .appear
                .is_some_and(|limit| now.saturating_sub(self.started_at) >= limit)
            {
                let message = format!("Pod log file never appeared at {}", self.shown);
                return self.finish(Proof::Failed(message), lines, look);
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
                    lines,
                    look,
                );
            }
            FinishRule::Drain if !absent => self.unreadable(&error.to_string(), lines, look),
            FinishRule::Drain | FinishRule::Settle { .. } => self.finish(Proof::Unproven, lines, look),
        }
    }

    /// The file could not be read to its end: whoever gets the text must know that it is not all.
    fn unreadable(&mut self, why: &str, lines: &mut Vec<u8>, look: &mut Look) {
        let message = format!(
            "Pod log file at {} could not be read to its end: {why}",
            self.shown
        );
        self.finish(Proof::Failed(message), lines, look);
    }

    fn finish(&mut self, proof: Proof, lines: &mut Vec<u8>, look: &mut Look) {
        look.cut = self.framer.has_partial();
        self.framer.finish(lines);
        self.reader.close();
        look.end = Some(proof);
    }

    fn report(&mut self, kind: &str, text: impl FnOnce() -> String, look: &mut Look) {
        if !self.reported_kinds.iter().any(|known| known == kind) {
            self.reported_kinds.push(kind.to_owned());
            look.notices.push(text());
        }
    }
}

/// The notice about an error that may pass.
pub(super) fn read_error_notice(error: &SourceError) -> String {
    format!("reading the log file failed ({error}); trying again")
}
