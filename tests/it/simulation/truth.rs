//! What really happened, whatever anybody reports.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::World;

/// One run's agent.
#[derive(Default, Clone, Debug)]
pub(crate) struct Agent {
    /// Job and pod of each start of opencode.
    pub(crate) starts: Vec<(String, String)>,
    /// What it has written, line by line.
    pub(crate) lines: Vec<String>,
    /// The weights of the steps that it has written.
    pub(crate) steps: u64,
    /// Those of them that it wrote when its log had been harvested and nobody could know that it works.
    pub(crate) unseen: u64,
    pub(crate) status: Option<i32>,
    /// Its container was killed, at work or before its script had written the end record.
    pub(crate) is_killed: bool,
    pub(crate) at_work: bool,
    /// When it was over, in the story's time.
    pub(crate) over_at: Option<Duration>,
}

#[derive(Default)]
pub(crate) struct Truth {
    agents: Mutex<BTreeMap<String, Agent>>,
}

/// The agent that a run is of: ids are `<agent>-<task>-<number>`.
pub(crate) fn agent_of(run: &str) -> &str {
    run.split('-').next().unwrap_or_default()
}

/// Agent and task of a run.
pub(crate) fn task_of(run: &str) -> &str {
    run.rsplit_once('-').map_or(run, |(task, _)| task)
}

impl Truth {
    pub(crate) fn opencode_starts(&self, world: &World, job: &str, run: &str, pod: &str) {
        world
            .story
            .tell(format!("opencode of {run} STARTS in {pod} of job {job}"));
        let mut agents = self.agents.lock().unwrap();
        let others = agents
            .iter()
            .filter(|(other, it)| it.at_work && agent_of(other) == agent_of(run));
        for (other, it) in others {
            if !world.may_overlap(other, it) {
                world
                    .story
                    .fault(format!("two runs of one agent at once: {other} and {run}"));
            }
        }
        if let Some(why) = world.must_not_start(run) {
            world.story.fault(format!("opencode of {run} starts, and {why}"));
        }
        let agent = agents.entry(run.to_owned()).or_default();
        agent.starts.push((job.to_owned(), pod.to_owned()));
        agent.at_work = true;
        if agent.starts.len() > 1 {
            world
                .story
                .fault(format!("opencode of {run} was started twice: {:?}", agent.starts));
        }
    }

    pub(crate) fn line(&self, run: &str, line: &str) {
        self.agents
            .lock()
            .unwrap()
            .entry(run.to_owned())
            .or_default()
            .lines
            .push(line.to_owned());
    }

    pub(crate) fn step(&self, world: &World, run: &str, weight: u64, is_harvested: bool) {
        let mut agents = self.agents.lock().unwrap();
        let agent = agents.entry(run.to_owned()).or_default();
        agent.steps |= weight;
        if is_harvested && world.may_overlap(run, agent) {
            world.story.tell(format!(
                "opencode of {run} has used {weight:#x}, and its log was harvested"
            ));
            agent.unseen |= weight;
        }
    }

    pub(crate) fn opencode_ends(&self, world: &World, _job: &str, run: &str, status: i32) {
        world.story.tell(format!("opencode of {run} ends: {status}"));
        let mut agents = self.agents.lock().unwrap();
        let agent = agents.entry(run.to_owned()).or_default();
        agent.status = Some(status);
        agent.at_work = false;
        agent.over_at = Some(world.story.now());
    }

    /// The container was killed whole: nothing of it goes on.
    pub(crate) fn killed(&self, world: &World, pod: &str) {
        let mut agents = self.agents.lock().unwrap();
        let of_pod = |agent: &Agent| agent.starts.last().is_some_and(|(_, of)| of == pod);
        for (run, agent) in agents.iter_mut().filter(|(_, agent)| of_pod(agent)) {
            agent.is_killed = true;
            if agent.at_work {
                world.story.tell(format!("opencode of {run} is killed"));
                agent.at_work = false;
                agent.status = Some(137);
                agent.over_at = Some(world.story.now());
            }
        }
    }

    pub(crate) fn of(&self, run: &str) -> Agent {
        self.agents.lock().unwrap().get(run).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<(String, Agent)> {
        self.agents
            .lock()
            .unwrap()
            .iter()
            .map(|(run, agent)| (run.clone(), agent.clone()))
            .collect()
    }
}
