//! One line where an agent that works has printed nothing for long.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::watch as signal;
use tokio::time::{Instant, sleep};

use crate::cluster::conditions::{PodStage, stage};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::opencode::LastEvent;
use crate::run::host::log::HostLog;
use crate::run::job::handle::{JobHandle, Limits};
use crate::run::supervise::deliver::OutputState;
use crate::run::timing::{LONG_SILENCE, SILENCE_LOOK};

/// Tells the host of each long silence of the agent.
pub async fn tell_of_silence(
    handle: &JobHandle,
    host_log: &HostLog,
    output: signal::Receiver<OutputState>,
) -> Infallible {
    let mut silence = Silence::default();
    loop {
        sleep(SILENCE_LOOK).await;
        let quiet = host_log.quiet_for().await;
        let is_running = handle
            .pods()
            .iter()
            .any(|pod| stage(pod, OPENCODE_CONTAINER) == PodStage::Running);
        let now = Instant::now();
        if let Some(since) = silence.long_since(now, is_running, quiet) {
            let last = output.borrow().last;
            host_log.status(line(last, since, &handle.limits)).await;
        }
    }
}

/// Since when an agent has printed nothing for long: once for each silence.
#[derive(Debug, Default)]
struct Silence {
    running_since: Option<Instant>,
    /// It was said of the silence after this moment.
    said_of: Option<Instant>,
}

impl Silence {
    /// What came before the container ran is no silence of the agent.
    fn long_since(&mut self, now: Instant, is_running: bool, quiet: Duration) -> Option<Instant> {
        if !is_running {
            self.running_since = None;
            return None;
        }
        let running_since = *self.running_since.get_or_insert(now);
        let since = now.checked_sub(quiet).unwrap_or(running_since).max(running_since);
        let is_said = self.said_of.is_some_and(|said| since <= said);
        if is_said || now - since < LONG_SILENCE {
            return None;
        }
        self.said_of = Some(since);
        Some(since)
    }
}

fn line(last: LastEvent, since: Instant, limits: &Limits) -> String {
    let known = match last {
        LastEvent::Nothing => {
            "opencode has printed nothing yet: it waits for the model's provider, or repeats a request, which it does \
             without a word"
        }
        LastEvent::StepStarted => "a step is on: the model has not finished its answer, or a tool is at work",
        LastEvent::Text => "the last event is a text: the model goes on, or a tool is at work",
        LastEvent::ToolCall => {
            "the last event is a finished tool call: another tool is at work, or the model"
        }
        LastEvent::StepFinished => "the last event is the end of a step: the next request has no answer yet",
        LastEvent::Error => "the last event is an error: opencode tries again, or hangs",
    };
    // The limit that comes first is the one that ends the run.
    let silence = limits.silence.filter(|limit| {
        let is_in_time = |deadline| since + *limit < deadline;
        limits.job_deadline.is_none_or(is_in_time)
    });
    let limit = match (silence, limits.job_deadline) {
        (Some(limit), _) => format!(
            "After {} minutes without output the run is ended (`silenceTimeoutSec`)",
            limit.as_secs() / 60
        ),
        (None, Some(_)) => "The run goes on until `timeoutSec`".to_owned(),
        (None, None) => {
            "The run goes on; `timeoutSec` or `silenceTimeoutSec` would set it a limit".to_owned()
        }
    };
    let minutes = LONG_SILENCE.as_secs() / 60;
    format!("No output for {minutes} minutes. The container runs; {known}. {limit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    /// The minutes at which it is said, of a run that prints at these minutes and runs from `running_from` on.
    async fn said_at(running_from: u64, printed_at: &[u64], minutes: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut silence = Silence::default();
        let mut printed = start;
        let mut said = Vec::new();
        for quarter in 1..=minutes * 4 {
            advance(SILENCE_LOOK).await;
            let minute = quarter / 4;
            if quarter % 4 == 0 && printed_at.contains(&minute) {
                printed = Instant::now();
            }
            let is_running = minute >= running_from;
            if silence
                .long_since(Instant::now(), is_running, printed.elapsed())
                .is_some()
            {
                said.push(minute);
            }
        }
        said
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_silence_is_said_once() {
        assert_eq!(said_at(0, &[], 60).await, [10]);
        assert_eq!(said_at(0, &[9, 18, 27], 36).await, Vec::<u64>::new());
        assert_eq!(said_at(0, &[5, 30], 60).await, [15, 40], "each silence once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_does_not_run_yet_is_not_silent() {
        assert_eq!(said_at(50, &[], 70).await, [60]);
    }

    #[test]
    fn the_line_begins_with_what_is_wrong_and_says_what_is_known() {
        let limits = |silence, deadline| Limits {
            schedule: Duration::ZERO,
            start: Duration::ZERO,
            outage: Duration::ZERO,
            silence,
            job_deadline: deadline,
            deadline,
        };
        let (now, hours) = (Instant::now(), |hours: u64| Duration::from_secs(hours * 3_600));
        for (deadline, words) in [
            (
                None,
                "After 240 minutes without output the run is ended (`silenceTimeoutSec`)",
            ),
            (Some(now + hours(5)), "(`silenceTimeoutSec`)"),
            (Some(now + hours(3)), ". The run goes on until `timeoutSec`"),
        ] {
            let line = line(LastEvent::Nothing, now, &limits(Some(hours(4)), deadline));
            assert!(line.ends_with(words), "{line}");
        }
        for (last, words) in [
            (LastEvent::Nothing, "printed nothing yet"),
            (LastEvent::StepStarted, "a step is on"),
            (LastEvent::ToolCall, "finished tool call"),
        ] {
            let line = line(last, now, &limits(None, Some(now)));
            assert!(line.starts_with("No output for 10 minutes. "), "{line}");
            assert!(line.contains(words), "{line}");
        }
    }
}
