//! How a run ended: waits for the end, stops the Job where we end it ourselves, and gets the record.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::live::Live;
use super::observe::observe;
use super::told::{DEADLINE_LAG, End};
use super::voice::Voice;
use crate::cluster::conditions::{ContainerEnd, end_in};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::tail::EndRecord;
use crate::tail::followed::Ending;
use crate::tail::record::split_termination_message;

/// Two looks this far apart must agree before a log without a record counts as read.
const QUIET: Duration = Duration::from_secs(3);
/// How long the record of an ended pod may stay invisible.
const RECORD_PATIENCE: Duration = Duration::from_secs(3);
/// How long the API server may take to tell what the record on the volume already says.
const STATUS_LAG: Duration = Duration::from_secs(5);
/// The host waits 60 s for the acknowledgement of a cancel; the record, the log and the cleanup need some of it.
const CANCEL_LIMIT: Duration = Duration::from_secs(38);
/// A cancelled run's log is not waited for any longer.
pub(super) const CANCELLED_PROOF: Duration = Duration::from_secs(5);

/// What was seen at the end.
pub(super) struct Seen {
    pub(super) end: End,
    pub(super) container: Option<ContainerEnd>,
    pub(super) record: Option<EndRecord>,
    /// After a cancel or a deadline: whether the pod is verifiably gone.
    pub(super) gone: bool,
    /// A deadline ended the run.
    pub(super) timed_out: bool,
    /// The agent never started: there is nothing to wait for.
    pub(super) silent: bool,
}

impl Seen {
    /// The same when a record was waited for: without one there is an end to waiting.
    pub(super) fn last_endings(&self) -> (Ending, Ending) {
        match self.record {
            Some(_) => self.endings(),
            None => (Ending::Drain, Ending::Drain),
        }
    }

    /// How the tails of stdout and stderr are to finish.
    pub(super) fn endings(&self) -> (Ending, Ending) {
        let limit = matches!(self.end, End::Cancelled(_)).then_some(CANCELLED_PROOF);
        match &self.record {
            Some(record) => (
                Ending::Prove {
                    bytes: record.bytes,
                    sha256: record.sha256.clone(),
                    limit,
                },
                // Its size is no proof of anything: a second reader of the message is enough.
                Ending::Prove {
                    bytes: record.err_bytes,
                    sha256: None,
                    limit: Some(RECORD_PATIENCE),
                },
            ),
            None if self.silent => (Ending::Drain, Ending::Drain),
            None => (Ending::Settle { quiet: QUIET }, Ending::Drain),
        }
    }
}

/// Waits for the end and for what the pod left about it.
pub(super) async fn ending(live: &Live, voice: &Voice) -> Seen {
    let end = if live.without_job {
        live.record().await.map_or(End::JobGone, End::Record)
    } else {
        observe(live, voice).await
    };
    let mut seen = Seen {
        timed_out: matches!(end, End::Deadline),
        end,
        container: None,
        record: None,
        gone: false,
        silent: false,
    };
    match &seen.end {
        End::Container(end) => {
            seen.record = split_termination_message(&end.message, &live.run_id).0;
            seen.container = Some(end.clone());
        }
        End::Record(record) => {
            seen.record = Some(record.clone());
            if !live.without_job {
                seen.container = container_end(live, &record.pod, STATUS_LAG).await;
            }
        }
        // The controller ended its pods already, and the Job may have to stay.
        End::Deadline if live.job_is_over() => seen.gone = live.pods_gone(CANCEL_LIMIT).await,
        End::Cancelled(_) | End::Deadline => {
            let why = if seen.timed_out {
                "its deadline has passed"
            } else {
                "the run is cancelled"
            };
            seen.gone = stop_job(live, why, CANCEL_LIMIT, voice).await;
        }
        End::NotStarted(_) | End::Outage(_) | End::PodLost(_) | End::JobGone => {}
    }
    // The controller deletes the pods of a Job that is out of time before it says so, whichever way their end is heard.
    // An exit code of 0 is no exception here: what it is worth is the judgement's matter.
    let by_itself = matches!(seen.end, End::Container(_) | End::Record(_) | End::PodLost(_));
    if by_itself {
        seen.timed_out = tokio::select! {
            late = live.hit_its_deadline(DEADLINE_LAG) => late,
            // Somebody waits for the acknowledgement, and what ended by itself stays what it was.
            _ = live.stop.asked() => false,
        };
    }
    seen.silent = match seen.end {
        End::NotStarted(_) => true,
        End::Cancelled(_) => seen.gone && live.never_started().await,
        _ => false,
    };
    // An agent that a cancel could not end has no last words yet, and the host waits.
    let may_go_on = matches!(seen.end, End::Cancelled(_)) && !seen.gone;
    if seen.record.is_none() && !seen.silent && !may_go_on {
        seen.record = live.record_within(RECORD_PATIENCE).await;
    }
    seen
}

/// Deletes the Job and waits until its pods are gone; they get TERM and write their record.
pub(super) async fn stop_job(live: &Live, why: &str, limit: Duration, voice: &Voice) -> bool {
    let started = Instant::now();
    // Deleted first, told afterwards: a host that is slow to take a line must not delay the agent's TERM.
    let deleted = live.delete_job(limit).await;
    voice
        .status(format!("Stopping job {}: {why}", live.job_name))
        .await;
    if let Err(error) = deleted {
        voice
            .warn(format!(
                "Warning: failed to delete job {}: {error}",
                live.job_name
            ))
            .await;
        return false;
    }
    live.pods_gone(limit.saturating_sub(started.elapsed())).await
}

/// The end of the agent's container in this pod as the API server tells it, when it does so soon.
async fn container_end(live: &Live, pod: &str, patience: Duration) -> Option<ContainerEnd> {
    let mut pulse = live.pulse.clone();
    let look = async {
        loop {
            let ended = end_in(&live.pods(), pod, OPENCODE_CONTAINER);
            if ended.is_some() || pulse.changed().await.is_err() {
                return ended;
            }
        }
    };
    timeout(patience, look).await.ok().flatten()
}
