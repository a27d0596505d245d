//! Everything that a run tells its host goes through here: one call at a time, bounded in size and time, and no
//! fault of the host's callback reaches the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::opencode::Activity;
use crate::run::host::progress::Phase;
use crate::run::host::reporter::{Reporter, Reports, reporter_for};
use crate::run::host::{Host, Kind};
use crate::run::redact::display::Redactor;
use crate::run::stop::Stop;

/// The host's live events carry the last 8 Ki characters of a call.
const BATCH: usize = 8 << 10;
/// The host cuts calls over 64 Ki characters in the middle.
const PIECE: usize = 60 << 10;
/// A callback that takes longer is no longer waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same once the run is to stop: a slow host must not hold up its own cancel. And after a call that was not
/// answered in time, until one is: a host that hangs must not hold up the run again with each batch.
const HURRY: Duration = Duration::from_secs(1);
/// Both: nobody listens, and somebody waits for the end.
const RUSH: Duration = Duration::from_millis(10);

/// The lines that a run tells its host.
pub struct HostLog {
    host: Arc<dyn Host>,
    turn: Mutex<Instant>,
    complained: AtomicBool,
    /// The last call was not answered in time.
    unanswered: AtomicBool,
    stop: Stop,
    reports: Reports,
}

impl HostLog {
    /// Speaks to this host; in a hurry once the run is to stop. Progress and events are told by the reporter, while it is polled.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, stop: Stop) -> (Self, Reporter) {
        let (reports, reporter) = reporter_for(host.clone());
        let host_log = Self {
            host,
            stop,
            turn: Mutex::new(Instant::now()),
            complained: AtomicBool::new(false),
            unanswered: AtomicBool::new(false),
            reports,
        };
        (host_log, reporter)
    }

    /// The host wants to know where the run is, from this moment on.
    pub fn report_from(&self, moment: Instant) {
        self.reports
            .change(|now| now.wanted.replace(moment) != Some(moment));
    }

    /// What must not be shown on a page.
    pub fn hide(&self, redactor: Redactor) {
        self.reports.change(|now| {
            let changed = now.redactor != redactor;
            now.redactor = redactor;
            changed
        });
    }

    /// Where the run is.
    pub fn phase(&self, phase: Phase) {
        self.reports.change(|now| {
            let changed = now.phase != phase;
            now.phase = phase;
            changed
        });
    }

    /// What the agent does: it says so itself, so it is at work whatever is known of its pod.
    pub fn activity(&self, activity: &Activity) {
        self.reports.change(|now| {
            let starts = !matches!(now.phase, Phase::Running | Phase::Proving | Phase::CleaningUp);
            let changed = starts || now.activity != *activity;
            if starts {
                now.phase = Phase::Running;
            }
            if changed {
                now.activity.clone_from(activity);
            }
            changed
        });
    }

    /// Something an operator looks for. Never waits.
    pub fn event(&self, event: serde_json::Value) {
        self.reports.event(event);
    }

    /// A status line on stdout.
    pub async fn status(&self, text: impl AsRef<str>) {
        let mut turn = self.turn.lock().await;
        self.call(Kind::Stdout, status_line(text.as_ref()), &mut turn)
            .await;
    }

    /// A warning on stderr.
    pub async fn warn(&self, text: impl AsRef<str>) {
        let mut turn = self.turn.lock().await;
        self.call(Kind::Stderr, status_line(text.as_ref()), &mut turn)
            .await;
    }

    /// Whole lines, in batches that the host keeps whole.
    pub async fn lines(&self, kind: Kind, text: &str) {
        let mut turn = self.turn.lock().await;
        *turn = Instant::now();
        for batch in batches(text) {
            self.call(kind, batch.to_owned(), &mut turn).await;
        }
    }

    /// The invocation and its dispatch, in turn with the lines. The host may not want it.
    pub async fn tell(&self, kind: Kind, payload: serde_json::Value) {
        let mut turn = self.turn.lock().await;
        self.call(kind, payload.to_string(), &mut turn).await;
    }

    /// Seconds since the agent's last output.
    pub async fn quiet_for(&self) -> Duration {
        self.turn.lock().await.elapsed()
    }

    /// `_turn` shows that nobody else speaks.
    async fn call(&self, kind: Kind, payload: String, _turn: &mut Instant) {
        let problem = match self.said(kind, payload).await {
            Some(Ok(())) => return,
            Some(Err(message)) => format!("the host's callback failed: {message}"),
            None if self.stop.reason().is_some() => return,
            None => format!(
                "the host's callback did not return within {} s",
                PATIENCE.as_secs()
            ),
        };
        tracing::warn!(kind = kind.as_str(), %problem, "log delivery");
        if !self.complained.swap(true, Ordering::Relaxed) {
            let line = status_line(&format!("Warning: {problem}; the run goes on"));
            self.said(Kind::Stderr, line).await;
        }
    }

    /// What the host answered; `None` if it did not in time. Whatever it did not answer it has heard all the same.
    async fn said(&self, kind: Kind, payload: String) -> Option<Result<(), String>> {
        let (calm, hurried) = if self.unanswered.load(Ordering::Relaxed) {
            (HURRY, RUSH)
        } else {
            (PATIENCE, HURRY)
        };
        let hurry = async {
            self.stop.asked().await;
            sleep(hurried).await;
        };
        let said = tokio::select! {
            said = timeout(calm, self.host.say(kind, payload)) => said.ok(),
            () = hurry => None,
        };
        self.unanswered.store(said.is_none(), Ordering::Relaxed);
        said
    }
}

/// One line with the prefix of this adapter; control characters of hostile text become spaces.
fn status_line(text: &str) -> String {
    let clean: String = text
        .trim_end()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("[paperclip] {clean}\n")
}

/// Cuts text at line ends into pieces of at most [`BATCH`] bytes; a longer line goes alone, and one that the host
/// would cut goes in pieces.
fn batches(text: &str) -> Vec<&str> {
    let mut batches = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            if end > 0 && end + line.len() > BATCH {
                break;
            }
            end += line.len();
        }
        let (batch, more) = rest.split_at(piece_end(rest, end));
        batches.push(batch);
        rest = more;
    }
    batches
}

/// `end`, or the last character boundary that keeps the piece below the host's limit.
fn piece_end(text: &str, end: usize) -> usize {
    if end <= PIECE {
        end
    } else {
        (0..=PIECE)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::stop::stop_signal;
    use futures::future::BoxFuture;

    #[test]
    fn batches_hold_whole_lines_and_lose_nothing() {
        let text: String = (0..1_000).map(|n| format!("line number {n}\n")).collect();
        let cut = batches(&text);
        assert_eq!(cut.concat(), text);
        assert!(
            cut.iter()
                .all(|batch| batch.len() <= BATCH && batch.ends_with('\n'))
        );
    }

    #[test]
    fn a_line_that_the_host_would_cut_goes_in_pieces() {
        let text = format!("{}\nshort\n", "日".repeat(50_000));
        let cut = batches(&text);
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|batch| batch.len() <= PIECE));
    }

    #[test]
    fn a_status_line_is_one_line() {
        assert_eq!(status_line("a\nb\u{1b}[31m\n"), "[paperclip] a b [31m\n");
    }

    struct Deaf;
    impl Host for Deaf {
        fn say(&self, _kind: Kind, _payload: String) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_never_answers_does_not_hang_the_run() {
        let (stopper, stop) = stop_signal();
        let (host_log, _crier) = HostLog::new(Arc::new(Deaf), stop);
        host_log.status("hello").await;
        host_log.lines(Kind::Stdout, "a\n").await;
        stopper.stop("signal");
        let since = Instant::now();
        host_log.lines(Kind::Stdout, "b\n").await;
        assert!(since.elapsed() <= HURRY * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_hangs_holds_up_a_long_log_once_and_its_cancel_hardly() {
        let (stopper, stop) = stop_signal();
        let (host_log, _crier) = HostLog::new(Arc::new(Deaf), stop);
        let batches = "x".repeat(BATCH - 1) + "\n";
        let since = Instant::now();
        host_log.lines(Kind::Stdout, &batches.repeat(100)).await;
        assert!(since.elapsed() <= PATIENCE + HURRY * 101, "{:?}", since.elapsed());
        stopper.stop("signal");
        let since = Instant::now();
        host_log.lines(Kind::Stdout, &batches.repeat(100)).await;
        assert!(since.elapsed() <= HURRY * 3, "{:?}", since.elapsed());
    }

    /// Takes 10 s for each call, and fails every second one.
    #[derive(Default)]
    struct SlowAndSulky(std::sync::Mutex<Vec<(Kind, String)>>);
    impl Host for SlowAndSulky {
        fn say(&self, kind: Kind, payload: String) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(async move {
                sleep(Duration::from_secs(10)).await;
                let mut heard = self.0.lock().expect("what was heard");
                heard.push((kind, payload));
                if heard.len().is_multiple_of(2) {
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
        let host = Arc::new(SlowAndSulky::default());
        let (host_log, _crier) = HostLog::new(host.clone(), stop);
        let text: String = (0..5_000).map(|n| format!("line number {n}\n")).collect();
        host_log.lines(Kind::Stdout, &text).await;
        let heard = host.0.lock().expect("what was heard");
        let of = |wanted: Kind| -> Vec<&str> {
            let of_kind = heard.iter().filter(|(kind, _)| *kind == wanted);
            of_kind.map(|(_, payload)| payload.as_str()).collect()
        };
        assert_eq!(of(Kind::Stdout).concat(), text);
        assert_eq!(
            of(Kind::Stderr),
            ["[paperclip] Warning: the host's callback failed: no; the run goes on\n"]
        );
    }
}
