//! Everything before there is output to follow: the agent's turn, then a Job to take over or one of our own.

pub mod concurrency;
pub mod decision;
pub mod own_place;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::concurrency::Admission;
use self::decision::{Candidate, Decision};
use self::own_place::OwnPlace;
use crate::cluster::verbs::call;
use crate::manifest::job_record::JobRecord;
use crate::manifest::names;
use crate::run::agent_lock::{AgentLock, Arrival};
use crate::run::attached::{AttachedJob, Role};
use crate::run::context::RunContext;
use crate::run::failure::{Failure, cancelled};
use crate::run::host::log::HostLog;
use crate::run::recover::adopt::{adopt, is_same_prompt};
use crate::run::recover::unreported;
use crate::run::start::launch::{launch, say_created};
use crate::run::start::ledger::Ledger;
use crate::run::timing::{ABANDON_AFTER, CLEAN_UP, SECRET_LAG, SECRET_LOOK};
use crate::run::volume::folder::RunFolder;

/// Most ended Jobs of the task that are looked at for one that nobody has harvested.
const MAX_HARVESTED: usize = 8;

/// Jobs and runs that are followed to their end, in this order: all but the last are only reported.
pub(crate) struct Assignment {
    /// Ended runs of the task before the one that counts.
    pub(crate) before: Vec<AttachedJob>,
    /// What this round is about.
    pub(crate) attached: AttachedJob,
    /// What that is to this run.
    pub(crate) role: Role,
}

impl Assignment {
    fn of(role: Role, attached: AttachedJob) -> Self {
        Self {
            before: Vec::new(),
            attached,
            role,
        }
    }
}

/// What comes first for a run that has its turn.
enum Plan {
    /// A Job that another server made.
    Adopt(Box<JobRecord>, Role),
    /// A Job or files that are followed already.
    Follow(Box<Assignment>),
    /// A Job of this run's own, just made.
    Launched(Box<AttachedJob>),
    /// Somebody else was first: look again.
    LookAgain,
}

/// The agent's turn: held while the run is on.
pub(crate) struct AgentTurn {
    _lock: AgentLock,
    place: OwnPlace,
}

impl AgentTurn {
    /// Waits for the runs of the agent in this process.
    ///
    /// # Errors
    /// When the run is to stop, or `guardWaitSec` is over.
    pub(crate) async fn take(
        context: &RunContext,
        arrival: Arrival,
        host_log: &HostLog,
    ) -> Result<Self, Failure> {
        let place = OwnPlace::of(context);
        let admission = admission(context, &place);
        let lock = tokio::select! {
            biased;
            lock = admission.agent_lock(arrival, host_log) => lock?,
            reason = context.stop.asked() => return Err(cancelled(&reason)),
        };
        Ok(Self { _lock: lock, place })
    }

    /// What the run follows next: what earlier runs of the task left, and then a Job of its own.
    ///
    /// # Errors
    /// When there can be none. Nothing that was made for it is left.
    pub(crate) async fn next(&self, context: &RunContext, host_log: &HostLog) -> Result<Assignment, Failure> {
        let mut candidate = candidate(context);
        loop {
            // While it waits for others it has no place that they may need.
            self.place.give_back();
            match Box::pin(plan(context, &candidate, &self.place, host_log)).await? {
                Plan::Follow(assignment) => return Ok(*assignment),
                Plan::Launched(attached) => {
                    say_created(&attached, host_log).await;
                    return Ok(Assignment::of(Role::Own, *attached));
                }
                Plan::Adopt(record, role) => {
                    if let Some(attached) = Box::pin(adopt(context, &record, role)).await? {
                        if role != Role::Ended {
                            self.place.take_over();
                            host_log.status(reattaching(context, &record)).await;
                        }
                        return Ok(Assignment::of(role, attached));
                    }
                    if role == Role::Ended && candidate.harvested.len() < MAX_HARVESTED {
                        // An older one may be unreported: with `retainJobs` they stay.
                        candidate.harvested.push(record.job_uid.clone());
                        continue;
                    }
                }
                Plan::LookAgain => {}
            }
            // Somebody else has harvested it, or another server was first and is at work.
            candidate.has_harvested = true;
            candidate.may_adopt = false;
        }
    }
}

/// What comes first. A stop ends this wherever it is, and what was made by then is undone.
async fn plan(
    context: &RunContext,
    candidate: &Candidate,
    place: &OwnPlace,
    host_log: &HostLog,
) -> Result<Plan, Failure> {
    let ledger = Ledger::default();
    let mut planning = Box::pin(undisturbed(context, candidate, place, &ledger, host_log));
    let planned = tokio::select! {
        biased;
        // What is done is not lost: what it made must be known to be removed.
        planned = &mut planning => planned,
        reason = context.stop.asked() => {
            if ledger.gate_is_open() {
                planning.await
            } else {
                Err(cancelled(&reason))
            }
        }
    };
    match planned {
        Ok(Plan::LookAgain) => {
            // Another Job of the agent was first: this one must be gone before it may be made again.
            let stepped_back = cancelled("another server was first");
            Box::pin(ledger.undo(context, stepped_back)).await;
            host_log
                .status("Another server started a Job of this agent at the same moment; this one steps back")
                .await;
            Ok(Plan::LookAgain)
        }
        Ok(plan) => Ok(plan),
        Err(failure) => Err(Box::pin(ledger.undo(context, failure)).await),
    }
}

async fn undisturbed(
    context: &RunContext,
    candidate: &Candidate,
    place: &OwnPlace,
    ledger: &Ledger,
    host_log: &HostLog,
) -> Result<Plan, Failure> {
    let admission = admission(context, place);
    loop {
        return Ok(match Box::pin(admission.decision(candidate, host_log)).await? {
            Decision::Abandon(record) => {
                Box::pin(abandon(context, &record, host_log)).await?;
                continue;
            }
            Decision::Resume(record) | Decision::Adopt(record)
                if Box::pin(secret_never_comes(context, &record)).await? =>
            {
                abandon(context, &record, host_log).await?;
                continue;
            }
            // From here on a stop is the adopted Job's: whoever follows it ends it, and knows that it is gone.
            Decision::Resume(record) => Plan::Adopt(Box::new(record), Role::Own),
            Decision::Adopt(record) => {
                let is_same = is_same_prompt(context, &record);
                let role = if is_same { Role::Own } else { Role::Earlier };
                Plan::Adopt(Box::new(record), role)
            }
            Decision::Harvest(record) => Plan::Adopt(Box::new(record), Role::Ended),
            Decision::Wait { .. } | Decision::Create => {
                if let Some(left) = Box::pin(left(context)).await? {
                    return Ok(Plan::Follow(Box::new(left)));
                }
                // Whatever another server makes for this agent meanwhile, the gate sees it.
                place.take(host_log).await;
                tracing::info!("run admitted");
                match Box::pin(launch(context, ledger, host_log)).await? {
                    Some(attached) => Plan::Launched(Box::new(attached)),
                    None => Plan::LookAgain,
                }
            }
        });
    }
}

fn reattaching(context: &RunContext, record: &JobRecord) -> String {
    let job = &record.job_name;
    if record.run_id == context.spec.run.id {
        return format!("Reattaching to the Job {job} of this run");
    }
    let task = context.spec.run.task_id.as_deref().unwrap_or_default();
    format!("Reattaching to orphaned Job {job} from prior server instance (task: {task})...")
}

/// Whether the Job waits for a Secret that nobody will make any more: its server died between the two.
async fn secret_never_comes(context: &RunContext, record: &JobRecord) -> Result<bool, Failure> {
    let Some(name) = &record.secret else {
        return Ok(false);
    };
    let on = format!("secret/{name}");
    let until = Instant::now() + SECRET_LAG;
    loop {
        let asked = call("get", &on, context.namespace.secrets.get(name)).await;
        let folder = RunFolder::of_job_record(&context.volume, record)?;
        // Whatever became of the Secret, its pod had it. What cannot be asked for is there.
        if !asked.is_err_and(|error| error.is_not_found()) || folder.was_started().await? {
            return Ok(false);
        }
        if Instant::now() >= until {
            return Ok(true);
        }
        sleep(SECRET_LOOK).await;
    }
}

/// A Job of a dead server that never started its agent would keep all others of the agent waiting for ever.
async fn abandon(context: &RunContext, record: &JobRecord, host_log: &HostLog) -> Result<(), Failure> {
    let folder = RunFolder::of_job_record(&context.volume, record)?;
    if folder.was_started().await? {
        // opencode runs, and its node does not report it.
        return Ok(());
    }
    let name = &record.job_name;
    host_log
        .warn(format!(
            "Warning: the agent of job {name} has not started, and no server gives it up: deleting it"
        ))
        .await;
    let deleted = context
        .namespace
        .delete_job(name, Some(&record.job_uid), CLEAN_UP.calm)
        .await;
    match deleted {
        Ok(()) => folder.remove().await,
        Err(error) => {
            let line = format!("Warning: failed to delete job {name}: {error}");
            host_log.warn(line).await;
        }
    }
    Ok(())
}

/// What runs without a Job left behind that must be reported before this one starts.
async fn left(context: &RunContext) -> Result<Option<Assignment>, Failure> {
    if let Some(attached) = unreported::own(context).await? {
        return Ok(Some(Assignment::of(Role::Own, attached)));
    }
    if context.has_harvested {
        return Ok(None);
    }
    let mut before = unreported::earlier(context).await?;
    let last = before.pop();
    Ok(last.map(|attached| Assignment {
        before,
        ..Assignment::of(Role::Ended, attached)
    }))
}

fn admission<'a>(context: &'a RunContext, place: &OwnPlace) -> Admission<'a> {
    let spec = &context.spec;
    Admission {
        namespace: &context.namespace,
        view: &context.view,
        selector: &context.selector,
        // The wait for a place is none for other runs of the agent.
        until: context.admit_by.map(|by| by + place.waited()),
        outage: Duration::from_secs(spec.settings.outage_timeout_sec),
        abandon_after: Duration::from_secs(
            spec.settings.schedule_timeout_sec + spec.settings.start_timeout_sec,
        ) + ABANDON_AFTER,
    }
}

fn candidate(context: &RunContext) -> Candidate {
    Candidate {
        job_name: names::job_name(&context.spec.run.agent_id, &context.spec.run.id),
        log_folder: context.log_folder.clone(),
        instance: context.spec.run.instance.clone(),
        task: context.spec.run.task_id.clone(),
        session: context.spec.run.stored_session.clone(),
        may_adopt: context.spec.settings.reattach_orphaned_jobs && !context.has_harvested,
        has_harvested: context.has_harvested,
        harvested: Vec::new(),
    }
}
