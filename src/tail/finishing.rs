//! The end of a tail whose run is over: what a look means by its finish rule, and what is known about completeness.

use std::time::Duration;

use super::file_check::RecordedContent;
use super::finish_rule::{DRAIN_RETRY_LIMIT, FinishRule, Proof, retry_wait};
use super::follower::{LogFollower, Look};
use super::reader::{Compared, ReadOutcome};

/// How often the file is read again from its start, when it has the record's bytes and other ones were read.
const MAX_REREADS: u32 = 3;
/// The first and the longest wait until the whole file is compared with its record again: each time costs its size.
const COMPARE_WAIT: Duration = Duration::from_millis(250);
const LONGEST_COMPARE_WAIT: Duration = Duration::from_secs(16);

/// How far a tail is with its end.
#[derive(Debug, Default)]
pub(super) struct Finishing {
    quiet_since: Option<(Duration, u64)>,
    /// The file's size at the first look after the end of the run: who writes beyond it cannot hold the end.
    size: Option<u64>,
    rereads: u32,
    compare_wait: Duration,
}

impl LogFollower {
    /// What a look that could read means for the end.
    pub(super) fn apply_rule(&mut self, got: ReadOutcome, now: Duration, look: &mut Look) {
        let Some((rule, asked)) = self.finish_rule.clone() else {
            return;
        };
        if matches!(got, ReadOutcome::Restarted(_)) {
            self.finishing.size = None;
        }
        self.finishing.size.get_or_insert(self.reader.size());
        if got == ReadOutcome::Checking {
            // As much as was read once, and no more.
            return;
        }
        let waited = now.saturating_sub(asked);
        let in_time = waited < rule.time_limit(self.visibility_lag());
        match &rule {
            FinishRule::Drain => self.drain(got, waited, in_time, look),
            FinishRule::Prove { bytes, sha256, .. } => {
                let record = RecordedContent {
                    bytes: *bytes,
                    sha256: sha256.as_deref(),
                };
                self.prove(record, got, waited, in_time, look);
            }
            // Whoever still writes there is not the pod of this run, and must not keep the tail from its end.
            FinishRule::Settle { .. } if !in_time && !self.has_more(got) => {
                self.finish(Proof::Unproven, look);
            }
            FinishRule::Settle { quiet } => {
                self.settle(*quiet, matches!(got, ReadOutcome::Nothing), now, look);
            }
        }
    }

    pub(super) fn visibility_lag(&self) -> Duration {
        self.reader.source().freshness().visibility_lag()
    }

    /// Whether this look found more of what was there when the run was over.
    fn has_more(&self, got: ReadOutcome) -> bool {
        let is_there = self.finishing.size.is_none_or(|size| self.reader.offset() < size);
        is_there && matches!(got, ReadOutcome::Bytes { only_nuls: false, .. })
    }

    fn drain(&mut self, got: ReadOutcome, waited: Duration, in_time: bool, look: &mut Look) {
        // A file that looks like another one gets the time after which that is believed.
        let decides = self.reader.is_in_doubt()
            && waited < self.reader.source().freshness().doubt_limit() + DRAIN_RETRY_LIMIT;
        match got {
            ReadOutcome::Nothing => self.finish(Proof::Unproven, look),
            // A doubt that was decided: the other file is read.
            ReadOutcome::Restarted(_) => {}
            _ if in_time || decides || self.has_more(got) => {}
            ReadOutcome::Bytes { only_nuls: false, .. } => self.finish(Proof::Unproven, look),
            ReadOutcome::Bytes { .. } => self.unreadable("its rest is NUL bytes", look),
            _ => self.unreadable("it keeps changing", look),
        }
    }

    fn prove(
        &mut self,
        record: RecordedContent<'_>,
        got: ReadOutcome,
        waited: Duration,
        in_time: bool,
        look: &mut Look,
    ) {
        let is_long_enough = self.reader.offset() >= record.bytes;
        if is_long_enough {
            let has_digest = record.sha256.is_some();
            match self.reader.compare(record) {
                Compared::Equal => return self.complete(record.bytes, has_digest, look),
                Compared::NotYet => {
                    look.again_in = Duration::ZERO;
                    return;
                }
                compared @ (Compared::Longer | Compared::Misread) if self.finishing.rereads < MAX_REREADS => {
                    return self.read_again(compared == Compared::Longer, look);
                }
                _ => {}
            }
        }
        match got {
            ReadOutcome::Bytes { only_nuls, .. } if !is_long_enough && (in_time || !only_nuls) => {}
            _ if in_time => {
                self.reader.want_fresh();
                look.again_in = if is_long_enough {
                    self.compare_wait()
                } else {
                    retry_wait(waited)
                };
            }
            _ => {
                let (have, want) = (self.reader.offset(), record.bytes);
                self.finish(Proof::Incomplete { have, want }, look);
            }
        }
    }

    /// The file has the record's bytes; what was read is more than them, or other bytes. What the file holds is read
    /// again, and of its lines those are given that were not.
    fn read_again(&mut self, were_all_given: bool, look: &mut Look) {
        self.finishing.rereads += 1;
        self.reader.rewind();
        self.framer.reset();
        if were_all_given {
            self.delivered.repeat()
        } else {
            self.delivered.restart()
        }
        look.is_again = true;
        look.again_in = Duration::ZERO;
    }

    fn compare_wait(&mut self) -> Duration {
        let wait = self.finishing.compare_wait.max(COMPARE_WAIT);
        self.finishing.compare_wait = (wait * 2).min(LONGEST_COMPARE_WAIT);
        wait
    }

    /// What was read is what the record counts.
    pub(super) fn complete(&mut self, bytes: u64, has_digest: bool, look: &mut Look) {
        let more = self.reader.size().saturating_sub(bytes);
        if more > 0 {
            let text =
                format!("{more} bytes follow in the log after its end record; they are not opencode's");
            self.report("more", || text, look);
        }
        let proof = if self.reader.has_orphan(bytes) {
            let text = "the log was replaced while opencode still wrote to the old file: lines are missing";
            self.report("orphan", || text.to_owned(), look);
            Proof::Unproven
        } else if has_digest {
            Proof::Proven
        } else if self.reader.believed_nuls() {
            Proof::Unproven
        } else {
            Proof::Counted
        };
        self.finish(proof, look);
    }

    /// Only the file's own lines, each once and in order, are proven. The last one is among them by now.
    pub(super) fn check_proof(&mut self, look: &mut Look) {
        if matches!(look.end, Some(Proof::Proven | Proof::Counted)) && !self.delivered.are_of_file() {
            look.end = Some(Proof::Unproven);
            let text = "lines were given out that the log does not hold, or not in its order";
            self.report("given", || text.to_owned(), look);
        }
    }

    fn settle(&mut self, quiet: Duration, idle: bool, now: Duration, look: &mut Look) {
        let offset = self.reader.offset();
        match self.finishing.quiet_since {
            Some((since, known)) if idle && known == offset => {
                if now.saturating_sub(since) >= quiet {
                    return self.finish(Proof::Unproven, look);
                }
            }
            _ => self.finishing.quiet_since = Some((now, offset)),
        }
        if idle {
            self.reader.want_fresh();
            look.again_in = Duration::from_millis(250).min(quiet);
        }
    }

    /// The file could not be read to its end: whoever gets the text must know that it is not all.
    pub(super) fn unreadable(&mut self, why: &str, look: &mut Look) {
        let message = format!(
            "Pod log file at {} could not be read to its end: {why}",
            self.shown
        );
        self.finish(Proof::Failed(message), look);
    }

    pub(super) fn finish(&mut self, proof: Proof, look: &mut Look) {
        look.cut = self.framer.has_partial();
        self.framer.finish(&mut self.delivered);
        self.reader.close();
        look.end = Some(proof);
    }
}
