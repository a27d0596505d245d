//! Signs of life: the host takes a run for lost of which it hears nothing, whatever the run waits for.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::run::host::log::HostLog;
use crate::run::host::progress::{Phase, RunState};
use crate::run::timing::KEEPALIVE;

const RUNNING: &str = "running";

/// Tells the host again and again that the run is alive.
pub async fn keepalive(host_log: &HostLog) -> Infallible {
    let mut signs = interval_at(Instant::now() + KEEPALIVE, KEEPALIVE);
    // A host that was slow to take one does not get two at once.
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        signs.tick().await;
        let quiet = host_log.quiet_for().await;
        let quiet = host_log.has_output().then_some(quiet);
        let is_stopping = host_log.stop.reason().is_some();
        host_log
            .status(line(&host_log.reports.state(), is_stopping, quiet))
            .await;
    }
}

/// `quiet`: time since the agent's last output; nothing while there was none.
fn line(now: &RunState, is_stopping: bool, quiet: Option<Duration>) -> String {
    let what = match &now.phase {
        Phase::WaitingForPlace => return "keepalive — waiting for a place".to_owned(),
        Phase::Waiting { .. } => return "keepalive — waiting for this agent's turn".to_owned(),
        Phase::Preparing | Phase::Creating => return "keepalive — preparing the run".to_owned(),
        _ if is_stopping => "being ended",
        Phase::Queued { .. } => "queued",
        Phase::Unscheduled { .. } | Phase::Pulling { .. } | Phase::Held { .. } | Phase::Starting => {
            "starting"
        }
        Phase::Running => RUNNING,
        Phase::Ending => "being ended",
        Phase::GivenUp => "the outcome is unknown",
        Phase::Proving | Phase::NotStarted | Phase::CleaningUp => "ended",
    };
    // The line that told of the Job has its name; four of these come in a minute.
    match quiet {
        None if what == RUNNING => format!("keepalive — {what} (no output yet)"),
        None => format!("keepalive — {what}"),
        // There was output since the last of these lines: a reader sees it above this one.
        Some(quiet) if quiet < KEEPALIVE => format!("keepalive — {what}"),
        Some(quiet) => format!("keepalive — {what} ({}s since last output)", quiet.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_says_what_the_run_waits_for() {
        let queued = Phase::Queued { queue: None };
        let (why, image, node) = (None, String::new(), String::new());
        let waiting = Phase::Waiting { who: String::new() };
        for (phase, words) in [
            (Phase::Preparing, "preparing the run"),
            (Phase::Creating, "preparing the run"),
            (waiting, "waiting for this agent's turn"),
            (Phase::WaitingForPlace, "waiting for a place"),
            (queued, "queued (61s since last output)"),
            (Phase::Unscheduled { why }, "starting (61s since last output)"),
            (Phase::Pulling { image, node }, "starting (61s since last output)"),
            (Phase::Starting, "starting (61s since last output)"),
            (Phase::Running, "running (61s since last output)"),
            (Phase::Ending, "being ended (61s since last output)"),
            (Phase::GivenUp, "the outcome is unknown (61s since last output)"),
            (Phase::Proving, "ended (61s since last output)"),
            (Phase::NotStarted, "ended (61s since last output)"),
            (Phase::CleaningUp, "ended (61s since last output)"),
        ] {
            let now = RunState {
                phase,
                ..RunState::default()
            };
            let quiet = Some(Duration::from_secs(61));
            assert_eq!(line(&now, false, quiet), format!("keepalive — {words}"));
            if words.ends_with(')') {
                let ending = "keepalive — being ended (61s since last output)";
                assert_eq!(line(&now, true, quiet), ending);
            }
        }
    }

    #[test]
    fn a_sign_of_life_says_nothing_of_output_that_just_came_or_never_did() {
        let of = |phase, quiet| {
            let state = RunState {
                phase,
                ..RunState::default()
            };
            line(&state, false, quiet)
        };
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(of(Phase::Running, None), "keepalive — running (no output yet)");
        assert_eq!(of(Phase::Starting, None), "keepalive — starting");
        for quiet in [seconds(0), seconds(14)] {
            assert_eq!(of(Phase::Running, quiet), "keepalive — running");
            assert_eq!(of(Phase::Proving, quiet), "keepalive — ended");
        }
        assert_eq!(
            of(Phase::Running, seconds(15)),
            "keepalive — running (15s since last output)"
        );
    }
}
