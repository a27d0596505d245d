//! One run per agent: a mutex in this process, and the Jobs and pods of the agent in the namespace.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::View;
use crate::cluster::conditions::job_end;
use crate::cluster::verbs::{Namespace, retry_required};
use crate::manifest::job_record::JobRecord;
use crate::run::admit::decision::{Candidate, Decision, decide};
use crate::run::agent_lock::{AgentLock, Arrival};
use crate::run::failure::{Failure, GUARD_BLOCKED, GUARD_UNREACHABLE};
use crate::run::host::log::HostLog;
use crate::run::host::progress::Phase;
use crate::run::job::agent_pods::list_agent_pods;
use crate::run::job::at_work::retain_of_agent;
use crate::run::timing::{ADMISSION_LIST, ADMISSION_LOOK, ADMISSION_PAUSE, ADMISSION_POD_LOOK, LAST_WORDS};

/// Who waits, and for how long.
pub struct Admission<'a> {
    /// Where the Jobs are.
    pub namespace: &'a Namespace,
    /// What they look like.
    pub view: &'a View,
    /// Labels that all Jobs and pods of the agent have.
    pub selector: &'a str,
    /// `guardWaitSec`; none waits without limit.
    pub until: Option<Instant>,
    /// How long the API server may be away once the run waits for another.
    pub outage: Duration,
    /// After this time a Job whose agent has not started is nobody's any more.
    pub abandon_after: Duration,
}

impl Admission<'_> {
    /// Waits for the runs of the agent in this process, in order of arrival.
    ///
    /// # Errors
    /// When the wait is over.
    pub async fn agent_lock(&self, arrival: Arrival, host_log: &HostLog) -> Result<AgentLock, Failure> {
        let arrival = match arrival.lock_now() {
            Ok(lock) => return Ok(lock),
            Err(arrival) => arrival,
        };
        host_log.phase(Phase::Waiting {
            who: "another run of this agent".to_owned(),
        });
        host_log
            .status("Waiting for another run of this agent in this server to finish before starting")
            .await;
        match self.until {
            None => Ok(arrival.lock().await),
            Some(until) => {
                let locked = timeout_at(until, arrival.lock()).await;
                locked.map_err(|_| self.blocked("in this server"))
            }
        }
    }

    /// Waits until there is something to do: a Job to harvest, or nothing in the way.
    ///
    /// # Errors
    /// When the wait is over, or the Jobs cannot be listed.
    pub async fn decision(&self, candidate: &Candidate, host_log: &HostLog) -> Result<Decision, Failure> {
        let mut said = String::new();
        let mut leaving_since = None;
        let mut unstarted_since: HashMap<String, Instant> = HashMap::new();
        loop {
            // A run that has waited for an hour is not given up because the API server restarts.
            let limit = if said.is_empty() {
                ADMISSION_LIST
            } else {
                self.outage
            };
            let (jobs, queued, pods, pods_are_ending) =
                match self.look(candidate, self.left_of(limit)).await? {
                    Decision::Wait {
                        jobs,
                        queued,
                        pods,
                        pods_are_ending,
                        unstarted,
                    } => {
                        if let Some(job) = self.overdue(&mut unstarted_since, unstarted) {
                            return Ok(Decision::Abandon(job));
                        }
                        (jobs, queued, pods, pods_are_ending)
                    }
                    decision => {
                        host_log.phase(Phase::Preparing);
                        if !said.is_empty() {
                            host_log.status("Concurrent Job(s) done, going on").await;
                        }
                        return Ok(decision);
                    }
                };
            let in_words = |name: &String| match queued.contains(name) {
                true => format!("{name} (waits in a queue)"),
                false => name.clone(),
            };
            let names: Vec<String> = jobs.iter().chain(&pods).map(in_words).collect();
            let names = names.join(", ");
            if !jobs.is_empty() || !pods_are_ending {
                leaving_since = None;
            } else {
                let since: Instant = *leaving_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LAST_WORDS {
                    host_log
                        .warn(format!(
                            "Warning: pod(s) {names} do not end; starting beside them"
                        ))
                        .await;
                    return Ok(Decision::Create);
                }
            }
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Err(self.blocked(&names));
            }
            if said != names {
                host_log.phase(Phase::Waiting {
                    who: format!("other runs of this agent: {names}"),
                });
                host_log
                    .status(format!(
                        "Waiting for concurrent Job(s) to finish before starting: {names}"
                    ))
                    .await;
                said = names;
            }
            self.until_changed(&jobs).await;
        }
    }

    /// The first of these Jobs whose agent has not started for too long.
    fn overdue(&self, since: &mut HashMap<String, Instant>, unstarted: Vec<JobRecord>) -> Option<JobRecord> {
        since.retain(|uid, _| unstarted.iter().any(|job| job.job_uid == *uid));
        unstarted.into_iter().find(|job| {
            let since = since.entry(job.job_uid.clone()).or_insert_with(Instant::now);
            since.elapsed() >= self.abandon_after
        })
    }

    /// The time, or what is left of `guardWaitSec`.
    fn left_of(&self, limit: Duration) -> Duration {
        self.until.map_or(limit, |until| {
            let left = until.saturating_duration_since(Instant::now());
            limit.min(left.max(ADMISSION_LIST))
        })
    }

    async fn look(&self, candidate: &Candidate, limit: Duration) -> Result<Decision, Failure> {
        let unreachable = |error: crate::cluster::ClusterError| {
            Failure::before_start(
                GUARD_UNREACHABLE,
                format!("{error}. So it is not known whether another run of this agent is on"),
            )
        };
        let jobs = retry_required(limit, "list", "jobs", || self.namespace.list_jobs(self.selector)).await;
        let mut jobs = jobs.map_err(unreachable)?;
        // Without the right to list them a pod that outlives its Job is not seen.
        let pods = list_agent_pods(self.namespace, self.selector, limit).await;
        let mut pods = pods.map_err(unreachable)?;
        let instance = candidate.instance.as_deref();
        retain_of_agent(&mut jobs, &mut pods, &candidate.log_folder, instance);
        Ok(decide(&jobs, &pods, candidate))
    }

    /// Until one of the Jobs is over in the shared view, which costs no request, or some time has passed.
    async fn until_changed(&self, jobs: &[String]) {
        let wait = if jobs.is_empty() {
            ADMISSION_POD_LOOK
        } else {
            ADMISSION_LOOK
        };
        let next = Instant::now()
            + self.until.map_or(wait, |until| {
                wait.min(until.saturating_duration_since(Instant::now()))
            });
        let mut status = self.view.subscribe(jobs.first().map_or("", String::as_str));
        let is_on = |name: &String| {
            let job = self.view.job(name);
            job.is_some_and(|job| job_end(&job).is_none())
        };
        // A view that has just been opened shows nothing yet.
        let mut most = 0;
        let changed = async {
            loop {
                let on = jobs.iter().filter(|name| is_on(name)).count();
                if on < most || status.changed().await.is_err() {
                    return;
                }
                most = on.max(most);
            }
        };
        let _ = timeout_at(next, changed).await;
        // Whatever changes how often: never more than a few requests a second.
        sleep(ADMISSION_PAUSE).await;
    }

    fn blocked(&self, what: &str) -> Failure {
        let message = format!(
            "Agent is busy: another run of it is still on after guardWaitSec ({what}). Wait for it or cancel it, or raise \
             guardWaitSec"
        );
        Failure::before_start(GUARD_BLOCKED, message)
    }
}
