//! One run, from the request to the report. Reads like the picture in `docs/design.md`; holds no rule about success: that
//! is `outcome`.

pub mod admit;
pub mod agent_lock;
pub mod attached;
pub mod clock;
pub mod context;
pub mod failure;
pub mod host;
pub mod job;
pub mod outcome;
pub mod prompt_files;
mod recover;
pub mod redact;
pub mod report;
pub mod request;
pub mod server;
pub mod start;
pub mod stop;
pub mod supervise;
pub mod timing;
pub mod volume;

use std::sync::Arc;

use tokio::time::Instant;

use admit::{AgentTurn, Assignment};
use attached::Role;
use context::RunContext;
use failure::{Failure, cancelled};
use host::Host;
use host::log::HostLog;
use recover::harvest::{harvest_silently, say_taken_over};
use redact::display::Redactor;
use report::{Harvest, Report};
use request::RunRequest;
use server::Server;
use stop::Stop;
use supervise::supervise;

/// Each harvested Job gives the run one more round; more than a few in a row mean that something is wrong.
const MAX_ROUNDS: usize = 5;

/// Executes a run. Never fails: a failure is a report.
///
/// # Example
/// The binding calls it with the request's JSON text, a host that takes log lines, and a signal to stop.
pub async fn execute(server: &Arc<Server>, request: &str, host: Arc<dyn Host>, stop: Stop) -> Report {
    let (host_log, mut reporter) = HostLog::new(host, stop.clone());
    let attempted = tokio::select! {
        attempted = attempt(server, request, &host_log, stop) => attempted,
        never = reporter.run() => match never {},
    };
    reporter.flush().await;
    match attempted {
        Ok(report) => report,
        Err((failure, harvest)) => {
            if failure.code != failure::CANCELLED {
                host_log.warn(&failure.message).await;
            }
            Report {
                harvest,
                ..failure.into()
            }
        }
    }
}

async fn attempt(
    server: &Arc<Server>,
    request: &str,
    host_log: &HostLog,
    stop: Stop,
) -> Result<Report, (Failure, Harvest)> {
    let mut harvest = Harvest::default();
    match in_rounds(server, request, host_log, stop, &mut harvest).await {
        Ok(report) => Ok(Report { harvest, ..report }),
        Err(failure) => Err((failure, harvest)),
    }
}

/// Harvests what earlier runs of the task left, one round each, and then follows a Job of its own.
async fn in_rounds(
    server: &Arc<Server>,
    request: &str,
    host_log: &HostLog,
    stop: Stop,
    harvest: &mut Harvest,
) -> Result<Report, Failure> {
    let request = RunRequest::parse(request)?;
    if request.wants_progress {
        host_log.report_from(Instant::now());
    }
    let mut context = RunContext::reach(server.clone(), request, stop).await?;
    host_log.hide(Redactor::of(&context.spec));
    if let Some(plainer) = context.plainer {
        host_log.warn(format!("Warning: {plainer}")).await;
    }
    let turn = AgentTurn::take(&context, host_log).await;
    let done = match &turn {
        Ok(turn) => rounds(&mut context, turn, host_log, harvest).await,
        Err(failure) => Err(failure.clone()),
    };
    drop(turn);
    // Never at import and never before a run: the first run of a cluster and namespace starts it.
    recover::sweep::start(&context);
    done
}

async fn rounds(
    context: &mut RunContext,
    turn: &AgentTurn,
    host_log: &HostLog,
    harvest: &mut Harvest,
) -> Result<Report, Failure> {
    for _ in 0..MAX_ROUNDS {
        if let Some(note) = &context.spec.run.resume.note {
            host_log.status(note).await;
        }
        let Assignment {
            before,
            attached,
            role,
        } = turn.next(context, host_log).await?;
        for earlier in before {
            harvest.add(harvest_silently(context, earlier, host_log).await.report);
        }
        let earlier = match role {
            Role::Own => return Ok(supervise(attached, host_log).await.report),
            Role::Earlier => {
                say_taken_over(&attached, host_log);
                supervise(attached, host_log).await
            }
            Role::Ended => harvest_silently(context, attached, host_log).await,
        };
        let is_gone = earlier.report.is_acknowledged;
        let is_settled = earlier.is_settled;
        if !is_settled && context.stop.reason().is_none() {
            // The API server is away: what became of the earlier run nobody knows.
            return Ok(earlier.report);
        }
        harvest.add(earlier.report);
        if let Some(reason) = context.stop.reason() {
            // Cancelled before it had a Job of its own: the end of an earlier one is not its end.
            return Err(Failure {
                nothing_started: is_settled || is_gone,
                ..cancelled(&reason)
            });
        }
        context.resume_from(harvest);
    }
    Err(Failure::of_input(
        failure::GUARD_BLOCKED,
        format!(
            "{MAX_ROUNDS} earlier Jobs of this task were harvested one after another: start the run again"
        ),
    ))
}
