//! What one server process holds for all its runs, and what it asks of the world outside. The process has one; a
//! simulation has several, with a world of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cluster::client::Connect;
use crate::cluster::identity::Identities;
use crate::cluster::view::Views;
use crate::cluster::{Access, Cluster};
use crate::run::agent_lock::AgentLocks;
use crate::run::clock::Clock;
use crate::run::places::Places;
use crate::run::seal::Seals;
use crate::run::volume::blocking::Volume;
use crate::tail::Hub;

/// One server.
#[derive(Default)]
pub struct Server {
    /// Follows the logs of all runs.
    pub hub: Hub,
    /// What the clusters look like.
    pub views: Views,
    /// One run per agent.
    pub agents: AgentLocks,
    /// How many runs of a namespace are on.
    pub places: Places,
    /// How clients are made.
    pub connect: Connect,
    /// Who works on the shared volume.
    pub volume: Volume,
    /// The wall clock.
    pub clock: Clock,
    /// What this process has reported.
    pub(crate) reported: ReportedRuns,
    /// The keys of the seals.
    pub(crate) seals: Seals,
    /// Which cluster is which.
    pub(crate) identities: Identities,
    /// What is swept.
    sweeps: Mutex<HashSet<(Access, String)>>,
    /// How long the files of an agent's runs stay, by company and agent, as its last run said.
    retentions: Mutex<HashMap<(String, String), Duration>>,
}

/// More runs than these are forgotten, the oldest first.
const REMEMBERED: usize = 4_096;

/// Runs that a process has reported to their end. Whatever lies under their names on the volume is not reported again:
/// an agent may have copied it.
#[derive(Default)]
pub(crate) struct ReportedRuns(Mutex<VecDeque<String>>);

impl ReportedRuns {
    /// This run was reported.
    pub(crate) fn note(&self, run: &str) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() == REMEMBERED {
            runs.pop_front();
        }
        runs.push_back(run.to_owned());
    }

    /// Whether this run was reported.
    pub(crate) fn has(&self, run: &str) -> bool {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().any(|known| known == run)
    }
}

impl Server {
    /// A server in a world of its own.
    #[must_use]
    pub fn new(hub: Hub, connect: Connect, volume: Volume, clock: Clock) -> Self {
        Self {
            hub,
            connect,
            volume,
            clock,
            ..Self::default()
        }
    }

    /// The files of this agent's runs stay for so long.
    pub(crate) fn keep_files(&self, company: &str, agent: &str, retention: Duration) {
        let mut retentions = self.retentions.lock().unwrap_or_else(PoisonError::into_inner);
        retentions.insert((company.to_owned(), agent.to_owned()), retention);
    }

    /// Whether a run of this agent has said how long its files stay.
    pub(crate) fn knows_retention(&self, company: &str, agent: &str) -> bool {
        let retentions = self.retentions.lock().unwrap_or_else(PoisonError::into_inner);
        retentions.contains_key(&(company.to_owned(), agent.to_owned()))
    }

    /// How long the files of agents stay, by company and agent.
    pub(crate) fn retentions(&self) -> HashMap<(String, String), Duration> {
        self.retentions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this is the first call for this cluster and namespace: then it is swept from now on.
    pub(crate) fn begins_to_sweep(&self, cluster: &Cluster, namespace: &str) -> bool {
        let mut sweeps = self.sweeps.lock().unwrap_or_else(PoisonError::into_inner);
        sweeps.insert((cluster.access.clone(), namespace.to_owned()))
    }
}
