//! Sends progress and events of a run to its host, beside its log: a host that is slow to take them, fails or hangs
//! delays no line.

use std::convert::Infallible;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::run::host::progress::{RunState, Throttle};
use crate::run::host::{Host, Kind};
use crate::run::timing::{EVENT_LIMIT, FLUSH_LIMIT};

/// The run's half: takes progress and events for the reporter.
pub struct Reports {
    now: watch::Sender<RunState>,
    events: mpsc::UnboundedSender<Value>,
}

/// The host's half: sends them.
pub struct Reporter {
    host: Arc<dyn Host>,
    now: watch::Receiver<RunState>,
    events: mpsc::UnboundedReceiver<Value>,
    throttle: Throttle,
}

/// A connected pair for this host.
#[must_use]
pub fn reporter_for(host: Arc<dyn Host>) -> (Reports, Reporter) {
    let (now, seen) = watch::channel(RunState::default());
    let (events, inbox) = mpsc::unbounded_channel();
    let reporter = Reporter {
        host,
        now: seen,
        events: inbox,
        throttle: Throttle::default(),
    };
    (Reports { now, events }, reporter)
}

impl Reports {
    /// Changes the state of the run; `change` says whether it did.
    pub fn change(&self, change: impl FnOnce(&mut RunState) -> bool) {
        self.now.send_if_modified(change);
    }

    /// The state of the run, as it is now.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.now.borrow().clone()
    }

    /// A message for the host's page, without secrets of the run.
    #[must_use]
    pub fn message(&self, text: &str) -> String {
        self.now.borrow().redactor.message(text)
    }

    /// An event for operators.
    pub fn event(&self, mut event: Value) {
        if let Some(Value::String(message)) = event.get_mut("message") {
            *message = self.message(message);
        }
        let _ = self.events.send(event);
    }
}

impl Reporter {
    /// Sends what comes, as long as it is polled.
    pub async fn run(&mut self) -> Infallible {
        let (told, heard) = watch::channel(());
        let progress = send_progress(self.host.as_ref(), &mut self.now, heard, &mut self.throttle);
        let events = send_events(self.host.as_ref(), &mut self.events, &told);
        tokio::join!(progress, events).0
    }

    /// Sends what is left: the last state and the remaining events.
    pub async fn flush(mut self) {
        let host = self.host.as_ref();
        let progress = async {
            let now = self.now.borrow().clone();
            if let Some(due) = self.throttle.due(&now) {
                sleep_until(due).await;
                let _ = timeout(FLUSH_LIMIT, host.say(Kind::Progress, text_of(&now))).await;
            }
        };
        let until = Instant::now() + FLUSH_LIMIT;
        let events = async {
            while let Ok(event) = self.events.try_recv() {
                // When no time is left it is still sent, but its answer is not waited for.
                let _ = timeout_at(until, host.say(Kind::Event, event.to_string())).await;
            }
        };
        tokio::join!(progress, events);
    }
}

/// One call at a time: while the host has not answered, there is no other. The host shows an event in the place of the
/// progress that it has, so the state is sent again after one.
async fn send_progress(
    host: &dyn Host,
    seen: &mut watch::Receiver<RunState>,
    mut events: watch::Receiver<()>,
    throttle: &mut Throttle,
) -> Infallible {
    loop {
        let now = seen.borrow_and_update().clone();
        let Some(due) = throttle.due(&now) else {
            tokio::select! {
                changed = seen.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
                Ok(()) = events.changed() => throttle.replaced(),
            }
            continue;
        };
        sleep_until(due).await;
        if events.has_changed().is_ok_and(|has| has) {
            events.mark_unchanged();
            throttle.replaced();
        }
        // The newest state counts.
        let now = seen.borrow_and_update().clone();
        if throttle.due(&now).is_none() {
            continue;
        }
        throttle.sent(Instant::now(), now.progress());
        if host.say(Kind::Progress, text_of(&now)).await.is_err() {
            tracing::debug!("the host does not take progress");
        }
    }
}

async fn send_events(
    host: &dyn Host,
    events: &mut mpsc::UnboundedReceiver<Value>,
    told: &watch::Sender<()>,
) -> Infallible {
    while let Some(event) = events.recv().await {
        let answer = timeout(EVENT_LIMIT, host.say(Kind::Event, event.to_string())).await;
        if !matches!(answer, Ok(Ok(()))) {
            tracing::debug!("the host does not take an event");
        }
        told.send_replace(());
    }
    std::future::pending().await
}

fn text_of(now: &RunState) -> String {
    serde_json::to_string(&now.progress()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;
    use serde_json::json;
    use tokio::time::sleep;

    use std::time::Duration;

    use super::*;
    use crate::opencode::Activity;
    use crate::run::host::progress::Phase;
    use crate::run::timing::PROGRESS_INTERVAL;

    /// Records its calls; answers after a while, or never.
    struct RecordingHost {
        calls: Mutex<Vec<(Instant, Kind, String)>>,
        answers_after: Option<Duration>,
    }

    impl RecordingHost {
        fn new(answers_after: Option<Duration>) -> Arc<Self> {
            let calls = Mutex::default();
            Arc::new(Self { calls, answers_after })
        }

        fn messages(&self) -> Vec<String> {
            let calls = self.calls.lock().expect("no panic");
            let texts = calls
                .iter()
                .map(|(_, _, text)| serde_json::from_str::<Value>(text).expect("JSON"));
            texts
                .map(|value| value["message"].as_str().unwrap_or_default().to_owned())
                .collect()
        }

        fn gaps(&self) -> Vec<Duration> {
            let calls = self.calls.lock().expect("no panic");
            calls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
        }
    }

    impl Host for RecordingHost {
        fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>> {
            self.calls
                .lock()
                .expect("no panic")
                .push((Instant::now(), kind, payload));
            Box::pin(async move {
                match self.answers_after {
                    Some(time) => sleep(time).await,
                    None => std::future::pending().await,
                }
                Ok(())
            })
        }
    }

    fn wanted(reports: &Reports) {
        reports.change(|now| {
            now.wanted_from = Some(Instant::now());
            true
        });
    }

    fn phase(reports: &Reports, phase: Phase) {
        reports.change(|now| {
            now.phase = phase;
            true
        });
    }

    fn tool(reports: &Reports, n: usize) {
        let tool = Some(format!("tool{n}"));
        reports.change(|now| {
            now.activity = Activity { tool, words: None };
            true
        });
    }

    async fn while_reported(reporter: &mut Reporter, work: impl Future<Output = ()>) {
        tokio::select! {
            never = reporter.run() => match never {},
            () = work => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_changes_are_a_call_a_second_and_the_last_is_sent() {
        let host = RecordingHost::new(Some(Duration::from_millis(3)));
        let (reports, mut reporter) = reporter_for(host.clone());
        wanted(&reports);
        let work = async {
            phase(&reports, Phase::Running);
            for n in 0..1_000 {
                tool(&reports, n);
                sleep(Duration::from_millis(7)).await;
            }
            phase(&reports, Phase::Proving);
            phase(&reports, Phase::CleaningUp);
        };
        while_reported(&mut reporter, work).await;
        reporter.flush().await;
        let messages = host.messages();
        assert!(
            host.gaps().iter().all(|gap| *gap >= PROGRESS_INTERVAL),
            "{:?}",
            host.gaps()
        );
        assert!((8..=9).contains(&messages.len()), "{messages:?}");
        assert_eq!(messages.last().map(String::as_str), Some("Cleaning up"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_sent_once_and_at_once() {
        let host = RecordingHost::new(Some(Duration::ZERO));
        let (reports, mut reporter) = reporter_for(host.clone());
        let start = Instant::now();
        let work = async {
            sleep(Duration::from_secs(5)).await;
            wanted(&reports);
            sleep(Duration::from_secs(5)).await;
            phase(&reports, Phase::Starting);
            sleep(Duration::from_secs(600)).await;
        };
        while_reported(&mut reporter, work).await;
        let calls: Vec<Duration> = host
            .calls
            .lock()
            .expect("no panic")
            .iter()
            .map(|(at, ..)| *at - start)
            .collect();
        assert_eq!(calls, [Duration::from_secs(5), Duration::from_secs(10)]);
        let before = Instant::now();
        reporter.flush().await;
        assert_eq!((host.messages().len(), before.elapsed()), (2, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_takes_the_place_of_the_state_which_is_sent_again() {
        let host = RecordingHost::new(Some(Duration::from_millis(3)));
        let (reports, mut reporter) = reporter_for(host.clone());
        wanted(&reports);
        let work = async {
            phase(&reports, Phase::Running);
            sleep(Duration::from_secs(60)).await;
            reports.event(json!({"message": "a part is over"}));
            reports.event(json!({"message": "another part is over"}));
            sleep(Duration::from_secs(60)).await;
        };
        while_reported(&mut reporter, work).await;
        let messages = host.messages();
        let work = "The agent is at work";
        assert_eq!(messages.last().map(String::as_str), Some(work), "{messages:?}");
        assert!(messages.len() <= 6, "{messages:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_answers_is_asked_once_and_holds_up_nothing() {
        let host = RecordingHost::new(None);
        let (reports, mut reporter) = reporter_for(host.clone());
        wanted(&reports);
        let work = async {
            for n in 0..100 {
                tool(&reports, n);
                phase(&reports, Phase::Running);
                sleep(Duration::from_secs(1)).await;
            }
        };
        while_reported(&mut reporter, work).await;
        assert_eq!(host.messages().len(), 1);
        let before = Instant::now();
        reporter.flush().await;
        assert!(before.elapsed() <= FLUSH_LIMIT * 2);
        assert_eq!(host.messages().last().map(String::as_str), Some("Using tool99"));
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_in_order_even_when_the_run_is_over_or_the_host_hangs() {
        for answers_after in [Some(Duration::from_millis(400)), None] {
            let host = RecordingHost::new(answers_after);
            let (reports, mut reporter) = reporter_for(host.clone());
            while_reported(&mut reporter, async {
                for n in 0..5 {
                    reports.event(json!({"message": format!("event {n}")}));
                }
                sleep(Duration::from_millis(1)).await;
            })
            .await;
            let before = Instant::now();
            reporter.flush().await;
            assert!(before.elapsed() <= FLUSH_LIMIT);
            let expected: Vec<String> = (0..5).map(|n| format!("event {n}")).collect();
            assert_eq!(host.messages(), expected);
        }
    }
}
