//! How long the parts of a run took, as the host's event `run.phase.timing`. Its names and outcomes are the host's
//! closed lists, and its payload holds nothing else. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::metrics::RunPhase;

/// A part of a run that the host has a name for. What comes before the Job is no part: no name of the host fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// From the Job's creation to the agent's start, with the time in a queue.
    CreateRuntime,
    /// The agent is at work.
    Turn,
    /// Its log is read to the end.
    SyncBack,
    /// What the run made is removed.
    EndSession,
}

impl Part {
    fn of(phase: RunPhase) -> Option<Self> {
        match phase {
            RunPhase::Preparing | RunPhase::Waiting | RunPhase::WaitingForPlace => None,
            RunPhase::Creating
            | RunPhase::Queued
            | RunPhase::Unscheduled
            | RunPhase::Pulling
            | RunPhase::Starting => Some(Self::CreateRuntime),
            RunPhase::Running | RunPhase::Ending => Some(Self::Turn),
            RunPhase::Proving => Some(Self::SyncBack),
            RunPhase::NotStarted | RunPhase::CleaningUp => Some(Self::EndSession),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::CreateRuntime => "create_runtime",
            Self::Turn => "turn",
            Self::SyncBack => "sync_back",
            Self::EndSession => "end_session",
        }
    }
}

/// Which parts of a run were well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// The agent succeeded.
    pub turn_is_ok: bool,
    /// Its log is complete.
    pub log_is_complete: bool,
}

/// The parts of a run, as its phases come.
#[derive(Debug, Default)]
pub struct PhaseTimings {
    current: Option<(Part, Instant)>,
    /// Over, and not judged yet: two at most.
    over: Vec<(Part, Duration)>,
    judged: Judged,
}

impl PhaseTimings {
    /// Says how the parts went that are over when the run is cleaned up.
    pub fn judge(&mut self, judged: Judged) {
        self.judged = judged;
    }

    /// The run comes to this phase, or to its end; gives the events of the parts that are over by that.
    pub fn enter(&mut self, phase: Option<RunPhase>, now: Instant) -> Vec<Value> {
        let next = phase.and_then(Part::of);
        if next == self.current.map(|(part, _)| part) {
            return Vec::new();
        }
        if let Some((part, since)) = self.current.take() {
            self.over.push((part, now.saturating_duration_since(since)));
        }
        self.current = next.map(|part| (part, now));
        if next == Some(Part::SyncBack) {
            // How the agent's turn went is judged when its log is read.
            let started = |(part, took): &(Part, Duration)| {
                (*part == Part::CreateRuntime).then(|| event(*part, *took, true))
            };
            let events = self.over.iter().filter_map(started).collect();
            self.over.retain(|(part, _)| *part == Part::Turn);
            return events;
        }
        let judged = std::mem::take(&mut self.judged);
        let is_ok = |part| match part {
            Part::CreateRuntime => next == Some(Part::Turn),
            Part::Turn => judged.turn_is_ok,
            Part::SyncBack => judged.log_is_complete,
            Part::EndSession => true,
        };
        let over = std::mem::take(&mut self.over);
        over.into_iter()
            .map(|(part, took)| event(part, took, is_ok(part)))
            .collect()
    }
}

fn event(part: Part, took: Duration, is_ok: bool) -> Value {
    let (name, took) = (part.name(), took.as_millis());
    let outcome = if is_ok { "ok" } else { "failed" };
    json!({
        "eventType": "run.phase.timing",
        "stream": "system",
        "level": "info",
        "message": format!("run phase: {name} ({took}ms)"),
        "payload": {"phase": name, "durationMs": u64::try_from(took).unwrap_or(u64::MAX), "outcome": outcome},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Judged = Judged {
        turn_is_ok: true,
        log_is_complete: true,
    };

    /// The events of a run that comes to a phase each second, and is judged before the one that cleans up.
    fn told(phases: &[RunPhase], judged: Judged) -> Vec<(String, u64, String)> {
        let (mut timings, mut now, mut events) = (PhaseTimings::default(), Instant::now(), Vec::new());
        for phase in phases.iter().copied().map(Some).chain([None]) {
            if phase == Some(RunPhase::CleaningUp) {
                timings.judge(judged);
            }
            events.extend(timings.enter(phase, now));
            now += Duration::from_secs(1);
        }
        let of = |event: Value| {
            let payload = &event["payload"];
            let text = |field: &str| payload[field].as_str().unwrap_or_default().to_owned();
            (
                text("phase"),
                payload["durationMs"].as_u64().unwrap_or_default(),
                text("outcome"),
            )
        };
        events.into_iter().map(of).collect()
    }

    fn rows(rows: &[(&str, u64, &str)]) -> Vec<(String, u64, String)> {
        rows.iter()
            .map(|(name, took, outcome)| ((*name).to_owned(), *took, (*outcome).to_owned()))
            .collect()
    }

    #[test]
    fn each_part_is_told_once_with_its_time_and_its_outcome() {
        use RunPhase::{
            CleaningUp, Creating, NotStarted, Preparing, Proving, Pulling, Running, Unscheduled, Waiting,
        };
        let whole = [
            Preparing,
            Waiting,
            Creating,
            Unscheduled,
            Pulling,
            Running,
            Running,
            Proving,
            CleaningUp,
        ];
        assert_eq!(
            told(&whole, OK),
            rows(&[
                ("create_runtime", 3_000, "ok"),
                ("turn", 2_000, "ok"),
                ("sync_back", 1_000, "ok"),
                ("end_session", 1_000, "ok"),
            ])
        );
        let failed = Judged {
            turn_is_ok: false,
            ..OK
        };
        assert_eq!(
            told(&[Creating, Proving, CleaningUp], failed),
            rows(&[
                ("create_runtime", 1_000, "ok"),
                ("sync_back", 1_000, "ok"),
                ("end_session", 1_000, "ok"),
            ]),
            "an end that is seen with its start"
        );
        assert_eq!(
            told(&[Creating, NotStarted, CleaningUp], Judged::default()),
            rows(&[("create_runtime", 1_000, "failed"), ("end_session", 2_000, "ok")])
        );
        assert_eq!(
            told(&[Creating, Running], OK),
            rows(&[("create_runtime", 1_000, "ok"), ("turn", 1_000, "failed")]),
            "nobody judged it"
        );
        assert_eq!(told(&[Preparing, Waiting], OK), rows(&[]));
    }

    #[test]
    fn what_an_earlier_job_was_judged_says_nothing_of_the_next() {
        use RunPhase::{CleaningUp, Creating, Preparing, Proving, Running};
        let phases = [
            Running, Proving, CleaningUp, Preparing, Creating, Running, Proving,
        ];
        let outcomes: Vec<_> = told(&phases, OK)
            .into_iter()
            .map(|(name, _, outcome)| format!("{name} {outcome}"))
            .collect();
        assert_eq!(
            outcomes,
            [
                "turn ok",
                "sync_back ok",
                "end_session ok",
                "create_runtime ok",
                "turn failed",
                "sync_back failed"
            ]
        );
    }
}
