//! What an operator's monitoring asks of this process: a few counters that the rooms call, as text for Prometheus.
//! Nothing here decides anything. No label holds an id of a run, an agent or a company: what has no bound on its values
//! is for the log.

mod families;
mod phases;
mod requests;

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use tokio::time::Instant;

use crate::codes::{CANCELLED, CODES};
use families::Families;
pub use phases::{Milestone, RunPhase, RunProgress};
pub use requests::RequestCount;

/// The words for the completeness of a log that are counted by name; any other is `other`.
const PROOFS: [&str; 6] = [
    "proven",
    "counted",
    "unproven",
    "incomplete",
    "cancelled",
    "not_read",
];

/// The code of a run without a failure.
pub const SUCCESS: &str = "ok";

/// What is not counted as it happens, but looked up when somebody asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files that are followed.
    pub tails: usize,
    /// Bytes that the tail which lags most has yet to give to its consumer, as far as the last look at its file tells.
    pub max_lag: u64,
    /// The same of all tails together.
    pub lag: u64,
    /// Mounts on which a call hangs.
    pub hung_volumes: usize,
}

/// The counters of one process.
pub struct Metrics {
    registry: Registry,
    families: Families,
    runs: phases::RunTable,
}

/// Counts something of this process.
pub fn note(count: impl FnOnce(&'static Metrics)) {
    if let Some(metrics) = of_process() {
        count(metrics);
    }
}

/// The counters of this process; none if the library refuses their names, which a test rules out.
#[must_use]
pub fn of_process() -> Option<&'static Metrics> {
    static METRICS: OnceLock<Option<Metrics>> = OnceLock::new();
    let at_zero = || {
        let metrics = Metrics::new().ok()?;
        metrics.begin_at_zero();
        Some(metrics)
    };
    METRICS.get_or_init(at_zero).as_ref()
}

impl Metrics {
    /// Counters at zero.
    ///
    /// # Errors
    /// When a name is not one, or is there twice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        Ok(Self {
            families: Families::new(&registry)?,
            registry,
            runs: phases::RunTable::default(),
        })
    }

    /// What alerts look at is there before it happens: a counter that begins with 1 has not grown.
    fn begin_at_zero(&self) {
        let codes = CODES.iter().map(|row| row.word);
        for code in codes.chain([SUCCESS]) {
            families::zero(&self.families.runs_ended, [code]);
        }
        for proof in PROOFS {
            families::zero(&self.families.logs_ended, [proof]);
        }
        for resource in ["jobs", "pods"] {
            families::zero(&self.families.watch_restarts, [resource, "broken"]);
        }
        families::zero(&self.families.sweeps, ["failed"]);
        families::zero(&self.families.credentials, ["failed"]);
    }

    /// All of them, in the text format of Prometheus.
    #[must_use]
    pub fn text(&self, looked: Looked, now: Instant) -> String {
        for (phase, count, oldest) in self.runs.by_phase(now) {
            let word = [phase.word()];
            families::set(&self.families.runs, word, count);
            families::set(&self.families.oldest_run, word, oldest.as_secs());
        }
        self.families.tails.set(families::whole(looked.tails));
        self.families.max_lag.set(families::whole(looked.max_lag));
        self.families.lag.set(families::whole(looked.lag));
        self.families
            .hung_volumes
            .set(families::whole(looked.hung_volumes));
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.unwrap_or_default()
    }

    /// A run has ended with this code, [`SUCCESS`] without one, and its log with this proof.
    pub fn run_ended(&self, code: &'static str, proof: &str) {
        families::count(&self.families.runs_ended, [code]);
        // Nobody waits for the whole log of a cancelled run, so that it lacks something is no alarm.
        let is_cut = code == CANCELLED && matches!(proof, "unproven" | "incomplete");
        let proof = if is_cut { CANCELLED } else { proof };
        let known = PROOFS.iter().find(|word| proof == **word);
        families::count(&self.families.logs_ended, [known.copied().unwrap_or("other")]);
    }

    /// The end of an agent's container was seen so long after it.
    pub fn end_seen(&self, after: Duration) {
        self.families.end_seen.observe(after.as_secs_f64());
    }

    /// A watch on this resource ended: `in_time`, `broken` (a list follows) or `forbidden`.
    pub fn watch_ended(&self, resource: &'static str, why: &'static str) {
        families::count(&self.families.watch_restarts, [resource, why]);
    }

    /// A call to the shared volume was given up after its limit.
    pub fn volume_timed_out(&self) {
        self.families.volume_timeouts.inc();
    }

    /// A sweep has ended, and has removed so many Jobs and the files of so many runs.
    pub fn swept(&self, is_complete: bool, jobs: u64, runs: u64) {
        let result = if is_complete { "complete" } else { "failed" };
        families::count(&self.families.sweeps, [result]);
        self.families.swept_jobs.inc_by(jobs);
        self.families.swept_runs.inc_by(runs);
    }

    /// Credentials of the API server were renewed, or could not be.
    pub fn credentials_renewed(&self, is_renewed: bool) {
        let result = if is_renewed { "renewed" } else { "failed" };
        families::count(&self.families.credentials, [result]);
    }

    /// Lines of the server's log that were dropped: nobody reads them fast enough.
    pub fn log_lines_dropped(&self, lines: u64) {
        self.families.dropped_lines.inc_by(lines);
    }
}

#[cfg(test)]
mod tests;
