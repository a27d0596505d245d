//! How far the runs of this process are, and how long each step to the agent's start took.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Metrics;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPhase {
    /// The cluster is reached, and the server's own pod read.
    Preparing,
    /// Other runs of the agent come first.
    Waiting,
    /// The namespace has as many runs as it may have.
    WaitingForPlace,
    /// The Job is made.
    Creating,
    /// The Job is suspended.
    Queued,
    /// The pod has no node.
    Unscheduled,
    /// The node mounts volumes and pulls images.
    Pulling,
    /// The init container is at work.
    Starting,
    /// The agent is at work.
    Running,
    /// The Job is ended by the adapter.
    Ending,
    /// The agent has ended, or nobody can say; its log is read to the end.
    Proving,
    /// The agent never started; its Job is ended.
    NotStarted,
    /// What the run made is removed.
    CleaningUp,
}

impl RunPhase {
    const ALL: [Self; 13] = [
        Self::Preparing,
        Self::Waiting,
        Self::WaitingForPlace,
        Self::Creating,
        Self::Queued,
        Self::Unscheduled,
        Self::Pulling,
        Self::Starting,
        Self::Running,
        Self::Ending,
        Self::Proving,
        Self::NotStarted,
        Self::CleaningUp,
    ];

    /// The value of the label `phase`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Waiting => "waiting",
            Self::WaitingForPlace => "waiting_for_place",
            Self::Creating => "creating",
            Self::Queued => "queued",
            Self::Unscheduled => "unscheduled",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ending => "ending",
            Self::Proving => "proving",
            Self::NotStarted => "not_started",
            Self::CleaningUp => "cleaning_up",
        }
    }
}

/// A step on the way to the agent's start, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Milestone {
    /// The pod has a node.
    Scheduled(Duration),
    /// The agent runs; so long its node mounted and pulled, and so long the way from the node took in all.
    Started {
        /// Of which this went to volumes and images.
        pull: Duration,
        /// From the node until the agent ran.
        start: Duration,
    },
}

/// The runs that have not ended.
#[derive(Default)]
pub(super) struct RunTable(Mutex<Runs>);

#[derive(Default)]
struct Runs {
    next: u64,
    /// Since when each has been in its phase.
    at: HashMap<u64, (RunPhase, Instant)>,
}

impl RunTable {
    /// Of each phase how many runs are in it, and how long the one that has been there longest.
    pub(super) fn by_phase(&self, now: Instant) -> Vec<(RunPhase, usize, Duration)> {
        let runs = self.runs();
        let of = |phase: RunPhase| {
            let here = runs.at.values().filter(|(at, _)| *at == phase);
            let ages = here.map(|(_, since)| now.saturating_duration_since(*since));
            let (count, oldest) = ages.fold((0, Duration::ZERO), |(n, most), age| (n + 1, most.max(age)));
            (phase, count, oldest)
        };
        RunPhase::ALL.into_iter().map(of).collect()
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far one run is. Counted from its making to its end, whatever ends it.
pub struct RunProgress {
    metrics: &'static Metrics,
    number: u64,
    steps: Mutex<Steps>,
}

impl RunProgress {
    /// A run that is being prepared.
    #[must_use]
    pub fn begin(metrics: &'static Metrics) -> Self {
        let mut runs = metrics.runs.runs();
        let number = runs.next;
        runs.next += 1;
        runs.at.insert(number, (RunPhase::Preparing, Instant::now()));
        drop(runs);
        Self {
            metrics,
            number,
            steps: Mutex::default(),
        }
    }

    /// The run is in this phase. The step that it has done with that, if it is one.
    pub fn enter(&self, phase: RunPhase) -> Vec<Milestone> {
        let now = Instant::now();
        if let Some(at) = self.metrics.runs.runs().at.get_mut(&self.number)
            && at.0 != phase
        {
            *at = (phase, now);
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let milestones = steps.enter(phase, now);
        drop(steps);
        for milestone in &milestones {
            let families = &self.metrics.families;
            match milestone {
                Milestone::Scheduled(after) => families.schedule.observe(after.as_secs_f64()),
                Milestone::Started { pull, start } => {
                    families.pull.observe(pull.as_secs_f64());
                    families.start.observe(start.as_secs_f64());
                }
            }
        }
        milestones
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        self.metrics.runs.runs().at.remove(&self.number);
    }
}

/// When a run did its steps. One whose Job another server made has none.
#[derive(Debug, Default)]
struct Steps {
    phase: Option<RunPhase>,
    /// The Job was asked for, or left its queue.
    asked_at: Option<Instant>,
    node_at: Option<Instant>,
    pull_since: Option<Instant>,
    pull: Duration,
    has_started: bool,
}

impl Steps {
    fn enter(&mut self, phase: RunPhase, now: Instant) -> Vec<Milestone> {
        let last = self.phase.replace(phase);
        if last == Some(phase) {
            return Vec::new();
        }
        if phase == RunPhase::Creating {
            *self = Self {
                phase: Some(phase),
                asked_at: Some(now),
                ..Self::default()
            };
        }
        if last == Some(RunPhase::Queued) && self.asked_at.is_some() {
            self.asked_at = Some(now);
        }
        if let Some(since) = self.pull_since.take() {
            self.pull += now.saturating_duration_since(since);
        }
        if phase == RunPhase::Pulling {
            self.pull_since = Some(now);
        }
        let mut done = Vec::new();
        let is_on_node = matches!(phase, RunPhase::Pulling | RunPhase::Starting | RunPhase::Running);
        if let (Some(asked_at), None, true) = (self.asked_at, self.node_at, is_on_node) {
            self.node_at = Some(now);
            done.push(Milestone::Scheduled(now.saturating_duration_since(asked_at)));
        }
        if let (Some(node_at), RunPhase::Running, false) = (self.node_at, phase, self.has_started) {
            self.has_started = true;
            done.push(Milestone::Started {
                pull: self.pull,
                start: now.saturating_duration_since(node_at),
            });
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_to_the_start_is_timed_once() {
        let mut steps = Steps::default();
        let at = |phase, after| (phase, Instant::now() + seconds(after));
        let story = [
            at(RunPhase::Preparing, 0),
            at(RunPhase::Creating, 1),
            at(RunPhase::Queued, 2),
            at(RunPhase::Unscheduled, 100),
            at(RunPhase::Pulling, 103),
            at(RunPhase::Starting, 105),
            at(RunPhase::Pulling, 106),
            at(RunPhase::Running, 110),
            at(RunPhase::Pulling, 111),
            at(RunPhase::Running, 112),
        ];
        let done: Vec<Milestone> = story
            .into_iter()
            .flat_map(|(phase, now)| steps.enter(phase, now))
            .collect();
        assert_eq!(
            done,
            [
                Milestone::Scheduled(seconds(3)),
                Milestone::Started {
                    pull: seconds(6),
                    start: seconds(7)
                }
            ],
            "a queue is no wait for a node"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_job_another_server_made_has_no_times() {
        let mut steps = Steps::default();
        let now = Instant::now();
        assert_eq!(steps.enter(RunPhase::Pulling, now), []);
        assert_eq!(steps.enter(RunPhase::Running, now), []);
    }
}
