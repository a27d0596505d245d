//! The state of a run that has a Job, and its one step: from what a look shows to what is said, asked and done next.
//! Pure. It decides nothing about success: it says what ended the run, and what is known about that.

mod evidence;
mod pod_lines;
mod silent;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::Instant;

use self::pod_lines::{PodLines, on_node};
use self::silent::SilenceClocks;
use crate::cluster::conditions::{PodStage, describe, first_pod, stage, waits_because};
use crate::manifest::names::OPENCODE_CONTAINER;
use crate::run::host::progress::{Phase, phase_of};
use crate::run::job::end::{AgentsPod, Cause, JOB_DELETED, RunEnd, agents_pod, end_of, is_running};
use crate::run::job::handle::{Answer, Limits};
use crate::run::supervise::facts::{Ask, Facts};
use crate::run::supervise::leaving::Leaving;
use crate::run::supervise::log_finish::LogFinish;
use crate::run::supervise::start_limits::{Lateness, StartClocks};
use crate::run::supervise::start_record::{by_start_record, why_no_start};
use crate::run::timing::{DEADLINE_ROUNDING, LAST_WORDS, LEAVING_LOOK, LOOK, UNSEEN_JOB};

/// What the host learns from a look.
#[derive(Debug, Clone, PartialEq)]
pub enum Say {
    /// A status line.
    Status(String),
    /// A warning.
    Warning(String),
    /// How far the run is.
    Phase(Phase),
    /// Something an operator looks for.
    Event(Value),
}

/// What follows from one look.
#[derive(Debug)]
pub struct Step {
    /// What the host learns.
    pub say: Vec<Say>,
    /// What the next look asks for.
    pub ask: Vec<Ask>,
    /// How the tails of stdout and stderr are to finish, from now on.
    pub finish: Option<LogFinish>,
    /// The run is over.
    pub end: Option<RunEnd>,
    /// When to look again, whatever wakes the run before.
    pub look_at: Instant,
}

/// How far a run is.
#[derive(Debug)]
enum Stage {
    /// No pod of it runs the agent yet.
    Starting,
    /// The agent works.
    Running,
    /// Its end is known, and not yet all about it.
    Leaving(Box<Leaving>),
    /// All is known.
    Over,
}

/// The pod that runs the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BoundPod {
    pub(super) name: String,
    pub(super) uid: String,
}

/// What does not change while a run is watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The run's id.
    pub run_id: String,
    /// The name of its Job.
    pub job_name: String,
    /// How long each stage may take.
    pub limits: Limits,
}

/// The state of a run that has a Job. The only thing about it that changes.
#[derive(Debug)]
pub struct Watch {
    run: Watched,
    stage: Stage,
    clocks: StartClocks,
    pod: Option<BoundPod>,
    /// The agent works, though no pod shows it.
    at_work: bool,
    job_was_seen: bool,
    job_asked_at: Instant,
    followed_since: Instant,
    job_is_gone: bool,
    /// Since when an end is known for which a better word may come.
    end_known_since: Option<Instant>,
    suspended_at: Option<Instant>,
    silence: SilenceClocks,
    record_due: Instant,
    asked: Vec<Ask>,
    said: Said,
}

/// What was said, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    pod_lines: PodLines,
    on_node: bool,
    is_running: bool,
    is_polling: bool,
    pods_are_stale: bool,
}

impl Watch {
    /// A run whose Job exists.
    #[must_use]
    pub fn new(run: Watched, now: Instant) -> Self {
        Self {
            run,
            stage: Stage::Starting,
            clocks: StartClocks::from(now),
            pod: None,
            at_work: false,
            job_was_seen: false,
            job_asked_at: now,
            followed_since: now,
            job_is_gone: false,
            end_known_since: None,
            suspended_at: None,
            silence: SilenceClocks::default(),
            record_due: now + LOOK,
            asked: Vec::new(),
            said: Said::default(),
        }
    }

    /// A run of which only files are left: the API server has said that its Job is gone.
    #[must_use]
    pub fn of_files(run: Watched, now: Instant) -> Self {
        let stage = Stage::Leaving(Box::new(Leaving::of_files(now)));
        Self {
            stage,
            ..Self::new(run, now)
        }
    }

    /// What follows from a look.
    pub fn step(&mut self, facts: &Facts) -> Step {
        let mut step = Step {
            say: Vec::new(),
            ask: Vec::new(),
            finish: None,
            end: None,
            look_at: facts.now + LOOK,
        };
        if matches!(self.stage, Stage::Starting | Stage::Running)
            && let Some(cause) = self.cause(facts, &mut step)
            && let Some(cause) = self.by_start_record(self.by_others(cause, facts), facts, &mut step)
        {
            step.ask.clear();
            self.stage = Stage::Leaving(Box::new(Leaving::new(cause, facts.now)));
        }
        if let Stage::Leaving(leaving) = &mut self.stage {
            step.end = leaving.step(&self.run, self.pod.as_ref(), facts, &mut step);
            if step.end.is_some() {
                self.stage = Stage::Over;
            }
        }
        self.asked.clone_from(&step.ask);
        step
    }

    /// What ends the run, if something does.
    fn cause(&mut self, facts: &Facts, step: &mut Step) -> Option<Cause> {
        if facts.cancelled_at.is_some() {
            return Some(Cause::Cancelled);
        }
        self.job_was_seen |= facts.job.is_some();
        self.pause_clocks(facts, step);
        let pod = match self.agents_pod(facts, step) {
            Ok(pod) => pod,
            Err(cause) => return Some(*cause),
        };
        let pod = pod.as_deref();
        if let Some(pod) = pod {
            self.bind(pod, facts.now, step);
        }
        let job = facts.job.as_deref().or(facts.deleted_job.as_deref());
        let known = end_of(job, pod);
        let by_now = match known {
            Some((cause, lag)) => self.after(lag, cause, facts, step),
            None if facts.job.is_none() => self.without_job(pod, facts, step),
            None if self.is_out_of_time(facts) => None,
            None => self.late(pod, facts, step),
        };
        by_now
            .or_else(|| self.recorded(pod, facts, step))
            .or_else(|| self.is_out_of_time(facts).then_some(Cause::Deadline))
            .or_else(|| {
                // What cannot be ended now is looked at again.
                let can_end = facts.view.unreachable_since.is_none() && facts.job.is_some();
                (facts.is_in_circle && can_end).then_some(Cause::InCircle)
            })
            .or_else(|| self.silent(facts, step))
            .or_else(|| self.unreachable(facts, step))
    }

    /// The agent's pod. What the view shows no more is asked for by name before it counts as deleted.
    fn agents_pod(&mut self, facts: &Facts, step: &mut Step) -> Result<Option<Arc<Pod>>, Box<Cause>> {
        let uid = self.pod.as_ref().map(|pod| pod.uid.as_str());
        let cause = match agents_pod(uid, &facts.pods, &facts.deleted_pods) {
            AgentsPod::Unseen => return Ok(None),
            AgentsPod::There(pod) => return Ok(Some(pod.clone())),
            AgentsPod::Gone(cause) => cause,
        };
        let (Cause::Lost(_), Some(bound)) = (&cause, &self.pod) else {
            return Err(Box::new(cause));
        };
        let is_gone = match &facts.answers.pod {
            Some(Answer::Absent) => true,
            Some(Answer::Found(pod)) => pod.metadata.uid.as_deref() != Some(bound.uid.as_str()),
            None => false,
        };
        if is_gone && matches!(self.stage, Stage::Starting) && !self.at_work {
            // It never ran the agent: its successor may.
            self.pod = None;
            return match agents_pod(None, &facts.pods, &facts.deleted_pods) {
                AgentsPod::Unseen => Ok(None),
                AgentsPod::There(pod) => Ok(Some(pod.clone())),
                AgentsPod::Gone(cause) => Err(Box::new(cause)),
            };
        }
        match &facts.answers.pod {
            _ if is_gone => Err(Box::new(cause)),
            found => {
                self.ask(Ask::Pod(bound.name.clone()), facts, step);
                match found {
                    Some(Answer::Found(pod)) => Ok(Some(pod.clone())),
                    _ => Ok(None),
                }
            }
        }
    }

    /// Binds to the pod that runs the agent, and says where it is.
    fn bind(&mut self, pod: &Pod, now: Instant, step: &mut Step) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        self.pod = Some(BoundPod {
            name: name.to_owned(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
        });
        step.say.extend(phase_of(pod).map(Say::Phase));
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        if let Some(node) = node.filter(|_| !std::mem::replace(&mut self.said.on_node, node.is_some())) {
            step.say.push(Say::Event(on_node(&self.run.job_name, name, node)));
        }
        let mut state = describe(pod);
        state.extend(waits_because(pod, OPENCODE_CONTAINER));
        if stage(pod, OPENCODE_CONTAINER) == PodStage::Running {
            self.stage = Stage::Running;
            if !std::mem::replace(&mut self.said.is_running, true) {
                let line = self.said.pod_lines.running(name, state);
                step.say.push(Say::Status(line));
                return;
            }
        }
        match self.said.pod_lines.about(name, state, now) {
            Ok(line) => step.say.extend(line.map(Say::Status)),
            Err(due) => step.look_at = step.look_at.min(due),
        }
    }

    /// The end by what the volume says of the start; what has led to it is asked for again beside that.
    fn by_start_record(&self, cause: Cause, facts: &Facts, step: &mut Step) -> Option<Cause> {
        let is_running = matches!(self.stage, Stage::Running).then_some(true);
        let is_asked = self.asked.contains(&Ask::HasStarted);
        let is_late = |deadline| facts.now + DEADLINE_ROUNDING >= deadline;
        let is_late = self.run.limits.job_deadline.is_some_and(is_late);
        let no_start = self
            .pod_in(facts)
            .and_then(|pod| why_no_start(pod, &cause, &facts.pods, is_late));
        let has_started = is_running.or(facts.answers.has_started);
        let cause = by_start_record(cause, no_start, has_started, is_asked);
        if cause.is_none() {
            for ask in self.asked.iter().cloned().chain([Ask::HasStarted]) {
                self.ask(ask, facts, step);
            }
        }
        cause
    }

    /// The run's pod as it is or last was.
    fn pod_in<'a>(&self, facts: &'a Facts) -> Option<&'a Pod> {
        let Some(bound) = &self.pod else {
            return first_pod(&facts.deleted_pods);
        };
        let mut pods = facts.pods.iter().chain(facts.deleted_pods.iter().rev());
        let pod = pods.find(|pod| pod.metadata.uid.as_deref() == Some(bound.uid.as_str()));
        pod.map(AsRef::as_ref)
    }

    /// An end that a better word may follow for so long.
    fn after(
        &mut self,
        lag: std::time::Duration,
        cause: Cause,
        facts: &Facts,
        step: &mut Step,
    ) -> Option<Cause> {
        let known_since = *self.end_known_since.get_or_insert(facts.now);
        step.look_at = facts.now + LEAVING_LOOK;
        (facts.now - known_since >= lag).then_some(cause)
    }

    /// The view shows no Job: the API server has the last word.
    fn without_job(&mut self, pod: Option<&Pod>, facts: &Facts, step: &mut Step) -> Option<Cause> {
        self.job_is_gone |= facts.answers.job_is_gone == Some(true);
        if !self.job_is_gone {
            if self.job_was_seen || facts.now - self.job_asked_at >= UNSEEN_JOB {
                self.job_asked_at = facts.now;
                self.ask(Ask::JobIsGone, facts, step);
            }
            // It is there, and somebody has changed the labels by which the view knows it.
            let is_there = facts.answers.job_is_gone == Some(false) && !self.is_out_of_time(facts);
            return is_there.then(|| self.late(pod, facts, step)).flatten();
        }
        let cause = Cause::Lost(JOB_DELETED.to_owned());
        match pod {
            // Its agent works on until somebody ends the pod.
            Some(pod) if is_running(pod) && pod.metadata.deletion_timestamp.is_none() => None,
            // One that looks pending may be just starting: it ends with its Job, or runs until its node hears of it.
            Some(_) => self.after(LAST_WORDS, cause, facts, step),
            None => Some(cause),
        }
    }

    /// A pod that is late in the view must be so on the volume and for the API server itself.
    fn late(&mut self, pod: Option<&Pod>, facts: &Facts, step: &mut Step) -> Option<Cause> {
        if pod.is_none() && self.pod.is_some() {
            // It is being asked for by name.
            return None;
        }
        let (job, limits) = (&self.run.job_name, &self.run.limits);
        if matches!(self.stage, Stage::Starting)
            && let Some(next) = self.clocks.next(limits, facts.now)
        {
            step.look_at = step.look_at.min(next);
        }
        let cause = match self.clocks.late(pod, self.at_work, job, limits, facts.now)? {
            Lateness::Sure(cause) => return Some(cause),
            Lateness::Apparent(cause) => cause,
        };
        self.at_work |= facts.answers.has_started == Some(true);
        if self.at_work {
            return None;
        }
        let uid = self.pod.as_ref().map(|pod| pod.uid.as_str());
        let Some(asked) = facts
            .answers
            .pods
            .as_deref()
            .filter(|_| facts.answers.has_started.is_some())
        else {
            self.ask(Ask::HasStarted, facts, step);
            self.ask(Ask::Pods, facts, step);
            return None;
        };
        match agents_pod(uid, asked, &[]) {
            AgentsPod::There(pod) => {
                let late = self.clocks.late(Some(pod), false, job, limits, facts.now);
                late.map(|_| cause)
            }
            AgentsPod::Unseen => Some(cause),
            // The view will show it in a moment.
            AgentsPod::Gone(_) => None,
        }
    }

    /// Asks at once, or, where nobody could say it just now, with the next look.
    fn ask(&self, ask: Ask, facts: &Facts, step: &mut Step) {
        if !self.asked.contains(&ask) {
            step.look_at = facts.now;
        }
        if !step.ask.contains(&ask) {
            step.ask.push(ask);
        }
    }

    fn is_out_of_time(&self, facts: &Facts) -> bool {
        let is_over = |deadline| facts.now >= deadline;
        self.suspended_at.is_none() && self.run.limits.deadline.is_some_and(is_over)
    }
}
