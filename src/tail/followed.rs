//! One followed log: what to do at each look at the file, and when it is over. No clock (the time is an argument),
//! no thread, no file (the source is an argument).

use std::time::Duration;

use super::cadence::{Cadence, Pace};
use super::collected::Collected;
use super::delivered_lines::DeliveredLines;
use super::ending::retry_wait;
pub use super::ending::{Ending, Proof};
use super::framer::{Framer, decode};
use super::reader::{Got, Reader};
use super::source::{LogSource, SourceError};

/// Size of the buffer that the caller lends to [`Followed::look`]: what one look reads at most. Bounds memory and
/// the turn of one noisy run. V8 takes ten times as long for a string of 128 KiB and more.
pub const CHUNK: usize = 120 << 10;

/// Spare bytes behind the lines of a look: whoever passes them on writes behind them whose they are.
const ROOM: usize = 256;

/// Something for a person to know, once.
pub type Notice = String;

/// What one look gave.
#[derive(Debug, Default)]
pub struct Look {
    /// Whole lines, each with its newline.
    pub text: String,
    /// New notices for stderr.
    pub notices: Vec<Notice>,
    /// Set when the tail is over.
    pub end: Option<Proof>,
    /// With the end: all that was given out, if it was to be kept.
    pub collected: Option<Box<Collected>>,
    /// The last line of `text` has no newline in the file.
    pub cut: bool,
    /// When to look again; zero while there is more to read.
    pub again_in: Duration,
}

impl Look {
    /// Whether there is anything in it for the consumer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.notices.is_empty() && self.end.is_none()
    }

    /// Takes in what a later look gave, before anybody took this one.
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
pub struct Followed {
    reader: Reader,
    shown: String,
    pace: Pace,
    framer: Framer,
    given: DeliveredLines,
    collected: Option<Box<Collected>>,
    cadence: Cadence,
    since: Duration,
    reported: Vec<String>,
    ending: Option<(Ending, Duration)>,
    quiet_since: Option<(Duration, u64)>,
}

impl Followed {
    /// `shown` is the path in messages; `now` the time of the first look.
    #[must_use]
    pub fn new(source: Box<dyn LogSource>, shown: String, pace: Pace, now: Duration) -> Self {
        Self {
            reader: Reader::new(source, pace.digest, now),
            shown,
            pace,
            framer: Framer::default(),
            given: DeliveredLines::default(),
            collected: pace.collect.then(Box::default),
            cadence: Cadence::default(),
            since: now,
            reported: Vec::new(),
            ending: None,
            quiet_since: None,
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.reader.offset()
    }

    /// What stalls together with this file, as people know it.
    #[must_use]
    pub fn mount(&self) -> &str {
        self.reader.source().mount()
    }

    /// Tells the tail that the run is over. A record wins over having none, a stop over both; otherwise the first
    /// word counts.
    pub fn end(&mut self, ending: Ending, now: Duration) {
        if self
            .ending
            .as_ref()
            .is_none_or(|(known, _)| ending.outranks(known))
        {
            if ending == Ending::Drain {
                self.reader.drain()
            } else {
                self.reader.end()
            }
            self.ending = Some((ending, now));
            self.quiet_since = None;
        }
    }

    /// Looks at the file.
    pub fn look(&mut self, now: Duration, buffer: &mut [u8]) -> Look {
        let mut look = Look::default();
        let mut lines = Vec::new();
        let stop_at = match &self.ending {
            Some((Ending::Prove { bytes, .. }, _)) => Some(*bytes),
            _ => None,
        };
        let got = self.reader.turn(now, stop_at, buffer);
        for (kind, text) in self.reader.take_events() {
            self.report(&kind, || text, &mut look);
        }
        match got {
            Ok(got) => self.judge(got, now, buffer, &mut lines, &mut look),
            Err(error) => self.failed(&error, now, &mut lines, &mut look),
        }
        if self.framer.take_cut_lines() > 0 {
            self.report(
                "long",
                || "a line of the log is over 16 MiB and was cut".to_owned(),
                &mut look,
            );
        }
        look.text = decode(self.given.keep_new(lines));
        if let Some(collected) = &mut self.collected {
            collected.add(&look.text);
        }
        if look.end.is_some() {
            look.collected = self.collected.take();
        }
        look
    }

    /// After a look that could read: is there more, is it over, when to look again?
    fn judge(&mut self, got: Got, now: Duration, buffer: &mut [u8], lines: &mut Vec<u8>, look: &mut Look) {
        match got {
            Got::Bytes { from, until, more } => {
                let fresh = buffer.get(from..until).unwrap_or_default();
                lines.reserve(fresh.len() + ROOM);
                self.framer.push(fresh, lines);
                let paced = self.cadence.next(&self.pace, true);
                look.again_in = if more || self.ending.is_some() {
                    Duration::ZERO
                } else {
                    paced
                };
            }
            Got::Nothing => look.again_in = self.cadence.next(&self.pace, false),
            Got::Doubtful => look.again_in = self.pace.poll.min(retry_wait(Duration::ZERO)),
            Got::Restarted(why) => {
                self.framer.reset();
                self.given.restart();
                // Not at once: a file that keeps changing must not keep a thread busy.
                look.again_in = self.pace.poll.min(retry_wait(Duration::ZERO));
                self.report(
                    why,
                    || format!("the log file {why}; it is read again from its start"),
                    look,
                );
            }
        }
        if let Some((ending, asked)) = self.ending.clone() {
            self.judge_end(&ending, now.saturating_sub(asked), got, now, buffer, lines, look);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of look, cut out for its length"
    )]
    fn judge_end(
        &mut self,
        ending: &Ending,
        waited: Duration,
        got: Got,
        now: Duration,
        buffer: &mut [u8],
        lines: &mut Vec<u8>,
        look: &mut Look,
    ) {
        let idle = matches!(got, Got::Nothing);
        let patient = waited < ending.patience(self.known_limit());
        match ending {
            Ending::Drain if idle => self.finish(Proof::Unproven, lines, look),
            Ending::Drain if !patient && !matches!(got, Got::Bytes { .. }) => {
                self.unreadable("it keeps changing", lines, look)
            }
            Ending::Drain => {}
            Ending::Prove { bytes, sha256, .. } => {
                // A reader of a rewritten file is behind again, so that the digest is asked at the end only.
                if self.offset() >= *bytes && self.reader.agrees(*bytes, sha256.as_deref(), buffer) {
                    self.proven(*bytes, lines, look);
                } else if !matches!(got, Got::Bytes { .. }) {
                    self.retry_or(
                        Proof::Incomplete {
                            have: self.offset(),
                            want: *bytes,
                        },
                        patient,
                        waited,
                        lines,
                        look,
                    );
                }
            }
            // Whoever still writes there is not the pod of this run.
            Ending::Settle { .. } if !patient && !matches!(got, Got::Bytes { .. }) => {
                self.finish(Proof::Unproven, lines, look);
            }
            Ending::Settle { quiet } => self.settle(*quiet, idle, now, lines, look),
        }
    }

    /// The record's count when all of it was read, and it was what the record says: then nothing more is needed of the
    /// file, and whoever harvested the run beside us may have removed it.
    fn is_complete(&mut self) -> Option<u64> {
        let Some((Ending::Prove { bytes, sha256, .. }, _)) = &self.ending else {
            return None;
        };
        let (bytes, read) = (*bytes, self.offset());
        (read == bytes && self.reader.agrees(bytes, sha256.as_deref(), &mut [])).then_some(bytes)
    }

    fn known_limit(&self) -> Duration {
        self.reader.source().freshness().proof_limit()
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

    fn retry_or(
        &mut self,
        proof: Proof,
        patient: bool,
        waited: Duration,
        lines: &mut Vec<u8>,
        look: &mut Look,
    ) {
        if patient {
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

    /// After a look that failed: errors are reported once per kind and retried, only the end of the run ends it.
    fn failed(&mut self, error: &SourceError, now: Duration, lines: &mut Vec<u8>, look: &mut Look) {
        if let Some(bytes) = self.is_complete() {
            return self.proven(bytes, lines, look);
        }
        look.again_in = self.cadence.next(&self.pace, false);
        if !self.reader.seen() {
            look.again_in = self.pace.poll;
            if let SourceError::Hostile(what) = error {
                let message = format!("Pod log file at {} is not read: {what}", self.shown);
                return self.finish(Proof::Failed(message), lines, look);
            }
            if self
                .pace
                .appear
                .is_some_and(|limit| now.saturating_sub(self.since) >= limit)
            {
                let message = format!("Pod log file never appeared at {}", self.shown);
                return self.finish(Proof::Failed(message), lines, look);
            }
        }
        if self.reader.seen() || *error != SourceError::Missing {
            self.report(&error.to_string(), || trouble(error), look);
        }
        let Some((ending, asked)) = self.ending.clone() else {
            return;
        };
        let waited = now.saturating_sub(asked);
        let absent = *error == SourceError::Missing && !self.reader.seen();
        if waited < ending.patience(self.known_limit()) && !(absent && ending == Ending::Drain) {
            self.reader.want_fresh();
            look.again_in = retry_wait(waited);
            return;
        }
        match ending {
            Ending::Prove { bytes, .. } => {
                self.finish(
                    Proof::Incomplete {
                        have: self.offset(),
                        want: bytes,
                    },
                    lines,
                    look,
                );
            }
            Ending::Drain if !absent => self.unreadable(&error.to_string(), lines, look),
            Ending::Drain | Ending::Settle { .. } => self.finish(Proof::Unproven, lines, look),
        }
    }

    /// A stop that could not read to the end: whoever gets the text must know that it is not all.
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
        if !self.reported.iter().any(|known| known == kind) {
            self.reported.push(kind.to_owned());
            look.notices.push(text());
        }
    }
}

/// What a person reads about an error that may pass.
pub(super) fn trouble(error: &SourceError) -> String {
    format!("reading the log file failed ({error}); trying again")
}
