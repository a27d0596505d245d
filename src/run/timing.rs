//! Every wait of a run in one table, each with its reason, and the budget that a cancel leaves for all of them.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::run::stop::Stop;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How long something is waited for: while nobody waits for the run, and once somebody asked it to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// While the run is on.
    pub calm: Duration,
    /// After a cancel, whose answer the host waits for.
    pub on_stop: Duration,
}

impl Limit {
    const fn new(calm: Duration, on_stop: Duration) -> Self {
        Self { calm, on_stop }
    }
}

/// The host waits 60 s for the answer to its cancel; the rest is for the way back.
pub const CANCEL_ANSWER: Duration = seconds(55);

// ---- whatever the run does

/// The host takes a run without a sign of life for lost.
pub const KEEPALIVE: Duration = seconds(15);

// ---- before there is a Job

/// The cluster is reached: a credential plugin, DNS or a dead API server may take its time.
pub const CONNECT: Duration = seconds(60);
/// A list that decides whether another run of the agent is on is repeated for so long.
pub const ADMISSION_LIST: Duration = seconds(15);
/// How often to look whether another Job is over, when nothing tells.
pub const ADMISSION_LOOK: Duration = seconds(5);
/// The same when only pods are waited for, which no watch shows.
pub const ADMISSION_POD_LOOK: Duration = seconds(2);
/// Whatever changes how often: never more than a few requests a second.
pub const ADMISSION_PAUSE: Duration = milliseconds(200);
/// How much longer than a Job's own server would have waited for its agent to start, until the Job is given up.
pub const ABANDON_AFTER: Duration = seconds(30);
/// A shared volume that does not answer for so long counts as absent.
pub const VOLUME: Limit = Limit::new(seconds(30), seconds(1));
/// How long the names in an agent's folder are read: less than [`VOLUME`], so that a volume which lists slowly what
/// agents have left there keeps no run from its start.
pub const LISTING: Duration = seconds(10);
/// How long until a volume that answers with an error is asked again.
pub const VOLUME_RETRY_PAUSE: Duration = milliseconds(500);
/// How long the nonce file of another server may be empty: it makes the file, and then writes it.
pub const NONCE_WRITE_LIMIT: Duration = seconds(2);
/// How often the nonce file is looked at while another server may be writing it.
pub const NONCE_POLL_INTERVAL: Duration = milliseconds(100);
/// A list that decides whether the gate may be opened is repeated for so long; the pod waits a minute at its gate.
pub const GATE_LIST: Duration = seconds(30);
/// The first of several Jobs waits so long for the others to step back; one that was let go on never does.
pub const GATE_TIE: Duration = seconds(4);
/// A pod whose Job is gone is waited for so long before another agent starts: it has its grace period, and the new pod
/// waits a minute at its gate.
pub const GATE_LEAVING_POD: Duration = seconds(40);
/// How often the first of several Jobs looks whether the others have stepped back.
pub const GATE_LOOK: Duration = milliseconds(200);
/// A Job that must not run is deleted within this time, and its pods are gone; its pod ends by itself after a minute.
pub const WITHDRAW: Duration = seconds(20);
/// The files of an earlier run are looked at twice, this far apart: another server that cleans up removes the Job
/// before the files.
pub const CLEANUP_LAG: Duration = seconds(3);
/// The key of the seals is read, and made where there is none, once for a namespace.
pub const SEAL_KEY: Duration = seconds(20);
/// How long a refusal of that key is remembered: a Role may be changed, and an API server that starts refuses all.
pub const SEAL_REFUSAL: Duration = seconds(300);
/// How long a Job's Secret may follow its Job: a server repeats a create for half a minute.
pub const SECRET_LAG: Duration = seconds(35);
/// How often to look whether it has come.
pub const SECRET_LOOK: Duration = seconds(2);
/// How long the API server may take to say whether the Job of an earlier run is there.
pub const EARLIER_JOB: Duration = seconds(15);
/// A request that asks for the claim of an agent's database.
pub const DATABASE_CLAIM: Duration = seconds(30);

// ---- while the agent works

/// An agent that prints nothing for so long is told of. The longest silence of a healthy recording is a minute: a
/// provider that is asked six times.
pub const LONG_SILENCE: Duration = seconds(600);
/// How long the log must have been readable before the silence of an agent counts as one: it is read several times in
/// it.
pub const LOG_ANSWERS: Duration = seconds(30);
/// How often to look whether an agent has printed.
pub const SILENCE_LOOK: Duration = seconds(15);
/// A look at the run when nothing wakes it.
pub const LOOK: Duration = seconds(5);
/// A look while an end is known and something is still missing.
pub const LEAVING_LOOK: Duration = milliseconds(250);
/// A Job that the view has never shown is asked for after this time.
pub const UNSEEN_JOB: Duration = seconds(5);
/// After how long without a report on pods the run's log says so.
pub const SAY_PODS_STALE: Duration = seconds(30);
/// One look at a small file of the run.
pub const SMALL_FILE: Limit = Limit::new(seconds(5), seconds(1));

/// One request to the API server.
pub const REQUEST: Limit = Limit::new(seconds(15), seconds(4));

// ---- after its end

/// The container's status may follow the pod's phase a little later.
pub const STATUS_LAG: Duration = seconds(3);
/// How long the pods of a Job that hit its deadline may take to end: their grace period and a margin.
pub const AFTER_DEADLINE: Duration = seconds(40);
/// How long the Job's condition may follow the end of its container: the controller that sets it serves all Jobs.
pub const DEADLINE_LAG: Duration = seconds(15);
/// The API server counts the seconds of a deadline in whole ones.
pub const DEADLINE_ROUNDING: Duration = seconds(1);
/// How long a pod that is being ended may still run when its Job is gone or has failed: its grace period, and a margin
/// for a node that learns of it late. Also how long its record is looked for.
pub const LAST_WORDS: Duration = seconds(75);
/// How long the record of an ended pod may stay invisible before the log counts as one without a record.
pub const RECORD_LAG: Duration = seconds(3);
/// The same of a pod that a person forced away: its object goes at once, and its container has its grace period.
pub const FORCED_LAST_WORDS: Duration = seconds(33);
/// Two looks this far apart must agree before a log without a record counts as read.
pub const SETTLE: Duration = seconds(3);
/// A cancelled run's log is not waited for any longer.
pub const CANCELLED_PROOF: Duration = seconds(5);
/// How long after a cancel lines are still delivered: what is left of [`CANCEL_ANSWER`] is for cleaning up.
pub const DELIVERY_ON_STOP: Duration = seconds(46);
/// The size of stderr is no proof of anything: a second reader of the termination message is enough.
pub const STDERR_PROOF: Duration = seconds(3);
/// A Job is deleted and its pods are gone, when the run ends them; TERM and grace period take most of it.
pub const STOP_JOB: Duration = seconds(38);
/// The same when the agent has ended by itself and only the host's cancel wants to know that nothing is left.
pub const STOP_ENDED_JOB: Duration = seconds(8);
/// The last requests of a run.
pub const CLEAN_UP: Limit = Limit::new(seconds(30), seconds(4));
/// How often to look whether the pods of a Job are gone.
pub const PODS_GONE_LOOK: Duration = milliseconds(500);
/// One more try to delete what a cancel could not delete in all its time.
pub const LAST_TRY: Duration = seconds(1);
/// How long a Job that could not be deleted is tried again in the background; then its TTL and the sweep remain.
pub const DELETE_LATER: Duration = seconds(900);
/// The pause after a refusal while it is: a Role may be mended meanwhile.
pub const DELETE_PAUSE: Duration = seconds(20);

// ---- the host's callbacks

/// How long a batch waits for calls of other runs: about the time in which one look at all files reaches its runs.
pub const GATHER_TIME: Duration = milliseconds(2);
/// A run that was answered this recently is in the middle of a long text: its next call waits for no other run.
pub const RECENT_ANSWER: Duration = milliseconds(5);
/// How long the host's callback is waited for.
pub const HOST_CALLBACK_LIMIT: Duration = seconds(30);
/// The same once the run is to stop, because a slow host must not hold up its own cancel; and after a call that was not
/// answered in time, because a host that hangs must not hold up the run with each batch again.
pub const HOST_CALLBACK_LIMIT_ON_STOP: Duration = seconds(1);
/// All calls of a run together that its host does not answer: after it, calls are made and hardly waited for.
pub const UNANSWERED_CALLS_LIMIT: Duration = seconds(40);
/// The same when the run is to stop and the last call was not answered in time.
pub const HUNG_HOST_LIMIT_ON_STOP: Duration = milliseconds(10);
/// The least time between two calls with progress.
pub const PROGRESS_INTERVAL: Duration = seconds(1);
/// How long an event waits for the answer to the one before it, so that they stay in order.
pub const EVENT_LIMIT: Duration = seconds(30);
/// How long the last calls may take when the run is over: somebody waits for its result.
pub const FLUSH_LIMIT: Duration = seconds(1);

// ---- sweep

/// How long between two sweeps of one namespace.
pub const SWEEP_INTERVAL: Duration = seconds(3_600);
/// How long files stay of an agent of which nobody has said it: the setting's default.
pub const USUAL_RETENTION: Duration = seconds(7 * 24 * 3_600);
/// How long the survey of the log folders may take; the next sweep tries again.
pub const SURVEY_LIMIT: Duration = seconds(600);
/// One step of a sweep: a Job is deleted, or the files of a run are read or removed.
pub const REMOVE_LIMIT: Duration = seconds(30);
/// A harvest takes minutes at most: nobody harvests a Job any more that ended longer ago, whatever its TTL.
pub const HARVEST_LIMIT: Duration = seconds(900);

// ---- usage

/// How long the API server may take to say whether the Job is there, where the answer decides about usage.
pub const HARVESTED: Limit = Limit::new(seconds(40), seconds(4));

/// One look at the note of what was reported.
pub const USAGE_NOTE: Limit = Limit::new(seconds(4), seconds(1));
/// A note that is still empty after this time is that of a server which died over it.
pub const USAGE_NOTE_WRITE: Duration = seconds(1);
/// How often the note of another server is looked at while it may be writing it.
pub const USAGE_NOTE_LOOK: Duration = milliseconds(100);
/// Between a run's log and its usage note nobody who cleans up needs longer.
pub const USAGE_NOTE_REMOVAL: Duration = seconds(2);

/// What is left of the time within which a cancel must be answered; without a cancel, all the time there is.
#[derive(Debug, Clone)]
pub struct Budget {
    stop: Stop,
}

impl Budget {
    /// The budget of a run that this signal ends.
    #[must_use]
    pub fn of(stop: &Stop) -> Self {
        Self { stop: stop.clone() }
    }

    /// The limit, or what a cancel leaves of it.
    #[must_use]
    pub fn at_most(&self, limit: Duration) -> Duration {
        self.answer_by().map_or(limit, |by| {
            limit.min(by.saturating_duration_since(Instant::now()))
        })
    }

    /// The calm limit, or the one for a run that was asked to stop.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> Duration {
        if self.stop.reason().is_some() {
            self.at_most(limit.on_stop)
        } else {
            limit.calm
        }
    }

    /// Waits for work that may be dropped: as long as [`Self::limit`] says, also when the cancel comes meanwhile.
    pub async fn within<T>(&self, limit: Limit, work: impl Future<Output = T>) -> Option<T> {
        let cut_short = async {
            self.stop.asked().await;
            let left = self.at_most(limit.on_stop);
            sleep_until(Instant::now() + left).await;
        };
        tokio::select! {
            biased;
            done = timeout(self.limit(limit), work) => done.ok(),
            () = cut_short => None,
        }
    }

    fn answer_by(&self) -> Option<Instant> {
        Some(self.stop.asked_at()? + CANCEL_ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::stop::stop_signal;

    #[tokio::test(start_paused = true)]
    async fn what_a_cancel_leaves_is_shared_by_all_waits_after_it() {
        let (stopper, stop) = stop_signal();
        let budget = Budget::of(&stop);
        assert_eq!(budget.at_most(STOP_JOB * 9), STOP_JOB * 9, "nobody waits");
        stopper.stop("signal");
        assert_eq!(budget.at_most(STOP_JOB), STOP_JOB);
        tokio::time::advance(seconds(50)).await;
        assert_eq!(budget.at_most(STOP_JOB), CANCEL_ANSWER - seconds(50));
        assert_eq!(budget.limit(CLEAN_UP), CLEAN_UP.on_stop);
        tokio::time::advance(seconds(50)).await;
        assert_eq!(budget.limit(CLEAN_UP), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_cuts_a_wait_short() {
        let (stopper, stop) = stop_signal();
        let since = Instant::now();
        let budget = Budget::of(&stop);
        let wait = budget.within(VOLUME, std::future::pending::<()>());
        let cancel = async {
            tokio::time::sleep(seconds(10)).await;
            stopper.stop("signal");
        };
        let (waited, ()) = tokio::join!(wait, cancel);
        assert_eq!((waited, since.elapsed()), (None, seconds(11)));
    }
}
