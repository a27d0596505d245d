//! How a run ended: waits for the end, stops the Job where we end it ourselves, and gets the record.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::cluster::conditions::{ContainerEnd, end_in};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::host::log::HostLog;
use crate::run::job::end::{DEADLINE_LAG, RunEnd};
use crate::run::job::handle::JobHandle;
use crate::run::supervise::watch::watch_job;
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
pub(crate) const CANCELLED_PROOF: Duration = Duration::from_secs(5);

/// How a run ended, and what its pod left about it.
pub(crate) struct Termination {
    pub(crate) end: RunEnd,
    pub(crate) container: Option<ContainerEnd>,
    pub(crate) record: Option<EndRecord>,
    /// After a cancel or a deadline: whether the pod is verifiably gone.
    pub(crate) gone: bool,
    /// A deadline ended the run.
    pub(crate) timed_out: bool,
    /// The agent never started: there is nothing to wait for.
    pub(crate) silent: bool,
}

impl Termination {
    /// The same when a record was waited for: without one there is an end to waiting.
    pub(crate) fn last_endings(&self) -> (Ending, Ending) {
        match self.record {
            Some(_) => self.endings(),
            None => (Ending::Drain, Ending::Drain),
        }
    }

    /// How the tails of stdout and stderr are to finish.
    pub(crate) fn endings(&self) -> (Ending, Ending) {
        let limit = matches!(self.end, RunEnd::Cancelled(_)).then_some(CANCELLED_PROOF);
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
pub(crate) async fn await_termination(handle: &JobHandle, host_log: &HostLog) -> Termination {
    let end = if handle.without_job {
        handle.record().await.map_or(RunEnd::JobGone, RunEnd::Record)
    } else {
        watch_job(handle, host_log).await
    };
    let mut termination = Termination {
        timed_out: matches!(end, RunEnd::Deadline),
        end,
        container: None,
        record: None,
        gone: false,
        silent: false,
    };
    match &termination.end {
        RunEnd::Container(end) => {
            termination.record = split_termination_message(&end.message, &handle.run_id).0;
            termination.container = Some(end.clone());
        }
        RunEnd::Record(record) => {
            termination.record = Some(record.clone());
            if !handle.without_job {
                termination.container = container_end(handle, &record.pod, STATUS_LAG).await;
            }
        }
        // The controller ended its pods already, and the Job may have to stay.
        RunEnd::Deadline if handle.job_is_over() => termination.gone = handle.pods_gone(CANCEL_LIMIT).await,
        RunEnd::Cancelled(_) | RunEnd::Deadline => {
            let why = if termination.timed_out {
                "its deadline has passed"
            } else {
                "the run is cancelled"
            };
            termination.gone = stop_job(handle, why, CANCEL_LIMIT, host_log).await;
        }
        RunEnd::NotStarted(_) | RunEnd::Outage(_) | RunEnd::PodLost(_) | RunEnd::JobGone => {}
    }
    // The controller deletes the pods of a Job that is out of time before it says so, whichever way their end is heard.
    // An exit code of 0 is no exception here: what it is worth is the judgement's matter.
    let by_itself = matches!(
        termination.end,
        RunEnd::Container(_) | RunEnd::Record(_) | RunEnd::PodLost(_)
    );
    if by_itself {
        termination.timed_out = tokio::select! {
            late = handle.hit_its_deadline(DEADLINE_LAG) => late,
            // Somebody waits for the acknowledgement, and what ended by itself stays what it was.
            _ = handle.stop.asked() => false,
        };
    }
    termination.silent = match termination.end {
        RunEnd::NotStarted(_) => true,
        RunEnd::Cancelled(_) => termination.gone && handle.never_started().await,
        _ => false,
    };
    // An agent that a cancel could not end has no last words yet, and the host waits.
    let may_go_on = matches!(termination.end, RunEnd::Cancelled(_)) && !termination.gone;
    if termination.record.is_none() && !termination.silent && !may_go_on {
        termination.record = handle.record_within(RECORD_PATIENCE).await;
    }
    termination
}

/// Deletes the Job and waits until its pods are gone; they get TERM and write their record.
pub(crate) async fn stop_job(handle: &JobHandle, why: &str, limit: Duration, host_log: &HostLog) -> bool {
    let started = Instant::now();
    // Deleted first, told afterwards: a host that is slow to take a line must not delay the agent's TERM.
    let deleted = handle.delete_job(limit).await;
    host_log
        .status(format!("Stopping job {}: {why}", handle.job_name))
        .await;
    if let Err(error) = deleted {
        host_log
            .warn(format!(
                "Warning: failed to delete job {}: {error}",
                handle.job_name
            ))
            .await;
        return false;
    }
    handle.pods_gone(limit.saturating_sub(started.elapsed())).await
}

/// The end of the agent's container in this pod as the API server tells it, when it does so soon.
async fn container_end(handle: &JobHandle, pod: &str, patience: Duration) -> Option<ContainerEnd> {
    let mut status = handle.status.clone();
    let look = async {
        loop {
            let ended = end_in(&handle.pods(), pod, OPENCODE_CONTAINER);
            if ended.is_some() || status.changed().await.is_err() {
                return ended;
            }
        }
    };
    timeout(patience, look).await.ok().flatten()
}
