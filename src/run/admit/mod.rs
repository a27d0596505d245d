//! Everything before there is output to follow: the agent's turn, then a Job to take over or one of our own.

pub mod concurrency;
pub mod decision;
pub mod start_gate;

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::manifest::job_record::JobRecord;
use crate::manifest::names;
use crate::run::admit::concurrency::Admission;
use crate::run::admit::decision::{Candidate, Decision};
use crate::run::agent_lock::AgentLock;
use crate::run::attached::AttachedJob;
use crate::run::context::{RunContext, unless_stopped};
use crate::run::failure::Failure;
use crate::run::host::log::HostLog;
use crate::run::recover::adopt::{adopt, is_same_prompt};
use crate::run::recover::unreported;
use crate::run::start::launch::launch;
use crate::run::volume::folder::RunFolder;
use crate::tail::Hub;

/// How much longer than a Job's own server would have waited for its agent to start.
const STALLED: Duration = Duration::from_secs(30);
/// Patience of a request in passing.
const DELETE: Duration = Duration::from_secs(30);

/// What the followed Job is to this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The run itself, or one that answers the same prompt: its result is the run's.
    Own,
    /// An earlier run of the task that is still on: it is delivered, and then this run starts.
    Earlier,
    /// An earlier run of the task that nobody harvested: it is reported, and then this run starts.
    Ended,
}

/// Jobs and runs that are followed to their end, in this order: all but the last are only reported.
pub(crate) struct Assignment {
    /// Ended runs of the task before the one that counts.
    pub(crate) before: Vec<AttachedJob>,
    /// What this round is about.
    pub(crate) attached: AttachedJob,
    /// What that is to this run.
    pub(crate) role: Role,
}

/// From the place to a Job that is followed.
pub(crate) async fn admit(
    context: &RunContext,
    host_log: &HostLog,
    hub: &Hub,
) -> Result<(Assignment, AgentLock), Failure> {
    let spec = &context.spec;
    let admission = Admission {
        namespace: &context.namespace,
        view: &context.view,
        agents: &context.server.agents,
        agent: &spec.agent_id,
        selector: &context.selector,
        until: (spec.guard_wait_sec > 0).then(|| Instant::now() + Duration::from_secs(spec.guard_wait_sec)),
        candidate: candidate(context),
        outage: Duration::from_secs(spec.outage_timeout_sec),
        stalled: Duration::from_secs(spec.schedule_timeout_sec + spec.start_timeout_sec) + STALLED,
    };
    let begin = async {
        let agent_lock = unless_stopped(&context.stop, admission.agent_lock(host_log)).await??;
        let mut known = admission.candidate.clone();
        loop {
            let decision = unless_stopped(&context.stop, admission.decision(&known, host_log)).await??;
            if let Decision::Abandon(job_record) = decision {
                unless_stopped(&context.stop, give_up(context, &job_record, host_log)).await??;
                continue;
            }
            match take(context, decision, known.continues, host_log, hub).await? {
                Some(assignment) => return Ok((assignment, agent_lock)),
                // Somebody else has harvested it, or another server was first and is at work: look again.
                None => {
                    known.continues = true;
                    known.reattach = false;
                }
            }
        }
    };
    tokio::select! {
        attached = begin => attached,
        never = keepalive(host_log) => match never {},
    }
}

/// Acts on a decision; `None` when there is to be another look.
async fn take(
    context: &RunContext,
    decision: Decision,
    continues: bool,
    host_log: &HostLog,
    hub: &Hub,
) -> Result<Option<Assignment>, Failure> {
    match decision {
        Decision::Resume(job_record) => {
            say_reattached(&job_record, host_log);
            host_log
                .status(format!(
                    "Reattaching to the Job {} of this run",
                    job_record.job_name
                ))
                .await;
            let attached = adopt(context, &job_record, false, hub).await?;
            Ok(attached.map(|attached| Role::Own.of(attached)))
        }
        Decision::Adopt(job_record) => {
            let task = context.spec.task_id.as_deref().unwrap_or_default();
            say_reattached(&job_record, host_log);
            host_log
                .status(format!(
                    "Reattaching to orphaned Job {} from prior server instance (task: {task})...",
                    job_record.job_name
                ))
                .await;
            let same = is_same_prompt(context, &job_record);
            let attached = adopt(context, &job_record, false, hub).await?;
            let role = if same { Role::Own } else { Role::Earlier };
            Ok(attached.map(|attached| role.of(attached)))
        }
        Decision::Harvest(job_record) => {
            let attached = adopt(context, &job_record, true, hub).await?;
            Ok(attached.map(|attached| Role::Ended.of(attached)))
        }
        Decision::Wait { .. } | Decision::Abandon(_) | Decision::Create => {
            if let Some(left) = unless_stopped(&context.stop, left(context, continues, hub)).await?? {
                return Ok(Some(left));
            }
            let attached = launch(context, host_log, hub).await?;
            Ok(attached.map(|attached| Role::Own.of(attached)))
        }
    }
}

/// A Job of a dead server that never started its agent would keep all others of the agent waiting for ever.
async fn give_up(context: &RunContext, job_record: &JobRecord, host_log: &HostLog) -> Result<(), Failure> {
    let folder = RunFolder::of_papers(&context.root, context.owner, job_record)?;
    if folder.started().await.is_some() {
        // It works, and its node is not heard.
        return Ok(());
    }
    let name = &job_record.job_name;
    host_log
        .warn(format!(
            "Warning: the agent of job {name} has not started, and no server gives it up: deleting it"
        ))
        .await;
    let deleted = context
        .namespace
        .delete_job(name, Some(&job_record.job_uid), DELETE)
        .await;
    if let Err(error) = deleted {
        host_log
            .warn(format!("Warning: failed to delete job {name}: {error}"))
            .await;
        return Ok(());
    }
    folder.remove().await;
    Ok(())
}

/// What runs without a Job left behind that must be told before this one starts.
async fn left(context: &RunContext, continues: bool, hub: &Hub) -> Result<Option<Assignment>, Failure> {
    if let Some(attached) = unreported::own(context, hub).await? {
        return Ok(Some(Role::Own.of(attached)));
    }
    if continues {
        return Ok(None);
    }
    let mut before = unreported::earlier(context, hub).await?;
    let last = before.pop();
    Ok(last.map(|attached| Assignment {
        before,
        ..Role::Ended.of(attached)
    }))
}

impl Role {
    fn of(self, attached: AttachedJob) -> Assignment {
        Assignment {
            before: Vec::new(),
            attached,
            role: self,
        }
    }
}

fn say_reattached(job_record: &JobRecord, host_log: &HostLog) {
    host_log.event(json!({
        "eventType": "opencode_k8s.reattached",
        "stream": "system",
        "level": "info",
        "message": format!("Job {} was taken over", job_record.job_name),
        "payload": {"job": job_record.job_name, "runId": job_record.run_id},
    }));
}

fn candidate(context: &RunContext) -> Candidate {
    Candidate {
        job_name: names::job_name(&context.spec.agent_id, &context.spec.run_id),
        task: context.spec.task_id.clone(),
        session: context.spec.stored_session.clone(),
        reattach: context.spec.reattach_orphaned_jobs && !context.request.continues,
        continues: context.request.continues,
    }
}

/// The host takes a run without a sign of life for lost.
async fn keepalive(host_log: &HostLog) -> std::convert::Infallible {
    loop {
        sleep(Duration::from_secs(15)).await;
        host_log.status("keepalive — waiting for this agent's turn").await;
    }
}
