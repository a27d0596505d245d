//! The log of a run at its host: lines go one call at a time, bounded in size and time. No fault of the host's callback
//! reaches the run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::metrics::{self, Milestone, RunPhase, RunProgress};
use crate::opencode::Activity;
use crate::run::host::phase_timings::{Judged, PhaseTimings};
use crate::run::host::pieces::{of_agent, pieces, status_line};
use crate::run::host::progress::Phase;
use crate::run::host::reporter::{Reporter, Reports, reporter_for};
use crate::run::host::{Host, Kind};
use crate::run::redact::display::Redactor;
use crate::run::stop::Stop;
use crate::run::timing::{
    HOST_CALLBACK_LIMIT, HOST_CALLBACK_LIMIT_ON_STOP, HUNG_HOST_LIMIT_ON_STOP, UNANSWERED_CALLS_LIMIT,
};

/// Sends the lines and the status of a run to its host, and takes its progress and events for the reporter.
pub struct HostLog {
    host: Arc<dyn Host>,
    /// Time of the agent's last output. Locked while a call is under way, so that there is one at a time.
    last_output: Mutex<Instant>,
    has_output: AtomicBool,
    has_warned: AtomicBool,
    unanswered: StdMutex<Unanswered>,
    pub(super) stop: Stop,
    pub(super) reports: Reports,
    /// `None`: the run is not counted.
    progress: Option<RunProgress>,
    timings: StdMutex<PhaseTimings>,
}

impl HostLog {
    /// The log at this host, and the reporter, which sends progress and events while it is polled.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, stop: Stop) -> (Self, Reporter) {
        let (reports, reporter) = reporter_for(host.clone());
        let host_log = Self {
            host,
            stop,
            last_output: Mutex::new(Instant::now()),
            has_output: AtomicBool::new(false),
            has_warned: AtomicBool::new(false),
            unanswered: StdMutex::default(),
            reports,
            progress: None,
            timings: StdMutex::default(),
        };
        (host_log, reporter)
    }

    /// The run counts from now on as one of this server's, until this is dropped.
    #[must_use]
    pub fn counted(self) -> Self {
        let progress = metrics::of_process().map(RunProgress::begin);
        Self { progress, ..self }
    }

    /// Progress is to be reported, from this moment on.
    pub fn report_from(&self, moment: Instant) {
        self.reports
            .change(|now| now.wanted_from.replace(moment) != Some(moment));
    }

    /// Sets what is masked in progress.
    pub fn hide(&self, redactor: Redactor) {
        self.reports.change(|now| {
            let changed = now.redactor != redactor;
            now.redactor = redactor;
            changed
        });
    }

    /// The run has come to this phase.
    pub fn phase(&self, phase: Phase) {
        self.enter(phase.counted());
        self.reports.change(|now| {
            let changed = now.phase != phase;
            now.phase = phase;
            changed
        });
    }

    /// What the agent does, by its own output: so it is at work, whatever the view shows of its pod.
    pub fn activity(&self, activity: &Activity) {
        let mut has_started = false;
        self.reports.change(|now| {
            let starts = !matches!(
                now.phase,
                Phase::Running
                    | Phase::Ending
                    | Phase::GivenUp
                    | Phase::Proving
                    | Phase::NotStarted
                    | Phase::CleaningUp
            );
            let changed = starts || now.activity != *activity;
            if starts {
                now.phase = Phase::Running;
            }
            has_started = starts;
            if changed {
                now.activity.clone_from(activity);
            }
            changed
        });
        if has_started {
            self.enter(RunPhase::Running);
        }
    }

    /// How the agent's turn and the reading of its log went; told when the run is cleaned up.
    pub fn judge(&self, judged: Judged) {
        self.timings().judge(judged);
    }

    /// The run has come to its end.
    pub fn end(&self) {
        self.time(None);
    }

    fn time(&self, phase: Option<RunPhase>) {
        let events = self.timings().enter(phase, Instant::now());
        for event in events {
            self.event(event);
        }
    }

    fn timings(&self) -> MutexGuard<'_, PhaseTimings> {
        self.timings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: RunPhase) {
        self.time(Some(phase));
        let milestones = self.progress.as_ref().map(|progress| progress.enter(phase));
        for milestone in milestones.into_iter().flatten() {
            match milestone {
                Milestone::Scheduled(after) => {
                    tracing::info!(seconds = after.as_secs_f64(), "scheduled");
                }
                Milestone::Started { pull, start } => {
                    tracing::info!(
                        seconds = start.as_secs_f64(),
                        pull_seconds = pull.as_secs_f64(),
                        "started"
                    );
                }
            }
        }
    }

    /// An event for operators. Does not wait.
    pub fn event(&self, event: serde_json::Value) {
        self.reports.event(event);
    }

    /// A message for the host's page: plain, bounded, and without secrets of the run.
    #[must_use]
    pub fn message(&self, text: &str) -> String {
        self.reports.message(text)
    }

    /// A status line on stdout.
    pub async fn status(&self, text: impl AsRef<str>) {
        let line = status_line(&self.message(text.as_ref()));
        let mut last_output = self.last_output.lock().await;
        self.call(Kind::Stdout, line, &mut last_output).await;
    }

    /// A warning on stderr.
    pub async fn warn(&self, text: impl AsRef<str>) {
        let line = status_line(&self.message(text.as_ref()));
        let mut last_output = self.last_output.lock().await;
        self.call(Kind::Stderr, line, &mut last_output).await;
    }

    /// Whole lines of the agent, in pieces that the host keeps whole.
    pub async fn lines(&self, kind: Kind, text: &str) {
        let mut last_output = self.last_output.lock().await;
        *last_output = Instant::now();
        self.has_output.store(true, Ordering::Relaxed);
        for piece in pieces(&of_agent(text)) {
            self.call(kind, piece.to_owned(), &mut last_output).await;
        }
    }

    /// The invocation or its dispatch, in order with the lines.
    pub async fn tell(&self, kind: Kind, payload: serde_json::Value) {
        let mut last_output = self.last_output.lock().await;
        self.call(kind, payload.to_string(), &mut last_output).await;
    }

    /// Time since the agent's last output, or since the beginning while there was none.
    pub async fn quiet_for(&self) -> Duration {
        self.last_output.lock().await.elapsed()
    }

    /// Whether the agent has said anything.
    pub fn has_output(&self) -> bool {
        self.has_output.load(Ordering::Relaxed)
    }

    /// `_lock` proves that no other call is under way.
    async fn call(&self, kind: Kind, payload: String, _lock: &mut Instant) {
        let problem = match self.answer_of(kind, payload).await {
            Some(Ok(())) => return,
            Some(Err(message)) => format!("the host's callback failed: {message}"),
            None if self.stop.reason().is_some() => return,
            None => format!(
                "the host's callback did not return within {} s",
                HOST_CALLBACK_LIMIT.as_secs()
            ),
        };
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            // Not what it threw: that may be a line of the log.
            tracing::warn!(
                kind = kind.as_str(),
                "the host does not take the log, or not in time"
            );
            let line = status_line(&format!("Warning: {problem}; the run goes on"));
            self.answer_of(Kind::Stderr, line).await;
        }
    }

    /// Calls the host. `None` when it did not answer in time: it has the payload all the same.
    async fn answer_of(&self, kind: Kind, payload: String) -> Option<Result<(), String>> {
        let (limit, limit_on_stop) = self.unanswered().limits();
        let since = Instant::now();
        let stopped = async {
            self.stop.asked().await;
            sleep(limit_on_stop).await;
        };
        let answer = tokio::select! {
            answer = timeout(limit, self.host.say(kind, payload)) => answer.ok(),
            () = stopped => None,
        };
        let mut unanswered = self.unanswered();
        unanswered.is_last = answer.is_none();
        if answer.is_none() {
            unanswered.waited += since.elapsed();
        }
        drop(unanswered);
        answer
    }

    fn unanswered(&self) -> MutexGuard<'_, Unanswered> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls of a run that its host did not answer in time. All of them share one limit: the result of a run must not
/// wait for a host that hangs with each piece of its log again.
#[derive(Default)]
struct Unanswered {
    /// The last call was one.
    is_last: bool,
    /// How long all of them were waited for.
    waited: Duration,
}

impl Unanswered {
    /// How long the next call is waited for, and how long once the run is to stop.
    fn limits(&self) -> (Duration, Duration) {
        let left = UNANSWERED_CALLS_LIMIT.saturating_sub(self.waited);
        if self.is_last {
            let limit = HOST_CALLBACK_LIMIT_ON_STOP.min(left);
            (limit.max(HUNG_HOST_LIMIT_ON_STOP), HUNG_HOST_LIMIT_ON_STOP)
        } else {
            let limit = HOST_CALLBACK_LIMIT.min(left);
            (
                limit.max(HOST_CALLBACK_LIMIT_ON_STOP),
                HOST_CALLBACK_LIMIT_ON_STOP,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::host::pieces::CALL_BYTES;
    use crate::run::stop::stop_signal;
    use futures::future::BoxFuture;

    struct HungHost;
    impl Host for HungHost {
        fn say(&self, _kind: Kind, _payload: String) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_answers_does_not_hang_the_run() {
        let (stopper, stop) = stop_signal();
        let (host_log, _reporter) = HostLog::new(Arc::new(HungHost), stop);
        host_log.status("hello").await;
        host_log.lines(Kind::Stdout, "a\n").await;
        stopper.stop("signal");
        let since = Instant::now();
        host_log.lines(Kind::Stdout, "b\n").await;
        assert!(since.elapsed() <= HOST_CALLBACK_LIMIT_ON_STOP * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_hangs_holds_up_a_long_log_once_and_its_cancel_hardly() {
        let (stopper, stop) = stop_signal();
        let (host_log, _reporter) = HostLog::new(Arc::new(HungHost), stop);
        let full = "x".repeat(CALL_BYTES - 1) + "\n";
        let since = Instant::now();
        host_log.lines(Kind::Stdout, &full.repeat(100)).await;
        assert!(
            since.elapsed() <= UNANSWERED_CALLS_LIMIT + HUNG_HOST_LIMIT_ON_STOP * 101,
            "{:?}",
            since.elapsed()
        );
        stopper.stop("signal");
        let since = Instant::now();
        host_log.lines(Kind::Stdout, &full.repeat(100)).await;
        assert!(
            since.elapsed() <= HOST_CALLBACK_LIMIT_ON_STOP * 3,
            "{:?}",
            since.elapsed()
        );
    }

    /// Takes 10 s for each call, and fails every second one.
    #[derive(Default)]
    struct SlowFailingHost(std::sync::Mutex<Vec<(Kind, String)>>);
    impl Host for SlowFailingHost {
        fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(async move {
                sleep(Duration::from_secs(10)).await;
                let mut calls = self.0.lock().expect("the calls");
                calls.push((kind, payload));
                if calls.len().is_multiple_of(2) {
                    Err("no".to_owned())
                } else {
                    Ok(())
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_slow_and_fails_is_offered_every_line_once_and_in_order() {
        let (_stopper, stop) = stop_signal();
        let host = Arc::new(SlowFailingHost::default());
        let (host_log, _reporter) = HostLog::new(host.clone(), stop);
        let text: String = (0..5_000).map(|n| format!("line number {n}\n")).collect();
        host_log.lines(Kind::Stdout, &text).await;
        let calls = host.0.lock().expect("the calls");
        let of = |wanted: Kind| -> Vec<&str> {
            let of_kind = calls.iter().filter(|(kind, _)| *kind == wanted);
            of_kind.map(|(_, payload)| payload.as_str()).collect()
        };
        assert_eq!(of(Kind::Stdout).concat(), text);
        assert_eq!(
            of(Kind::Stderr),
            ["[paperclip] Warning: the host's callback failed: no; the run goes on\n"]
        );
    }
}
