//! One run, from the request to the report. Reads like the picture in `docs/design.md`; holds no rule about success:
//! that is `outcome`.

pub mod admit;
pub mod agent_lock;
pub mod attached;
pub mod clock;
pub mod context;
pub mod failure;
pub mod host;
pub mod job;
pub mod outcome;
pub mod places;
pub mod prompt_files;
mod recover;
pub mod redact;
pub mod report;
pub mod request;
pub mod seal;
pub mod server;
pub mod start;
pub mod stop;
pub mod supervise;
pub mod timing;
pub mod volume;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use tracing::field::Empty;

use admit::{AgentTurn, Assignment};
use agent_lock::Arrival;
use attached::{AttachedJob, Role};
use context::RunContext;
use failure::{Failure, cancelled, lease_lost};
use host::Host;
use host::keepalive::keepalive;
use host::log::HostLog;
use recover::harvest::{harvest_silently, say_taken_over};
use redact::display::Redactor;
use report::{Harvest, Report};
use request::RunRequest;
use server::Server;
use stop::{Stop, stop_signal};
use supervise::{Supervised, supervise};
use timing::CLEAN_UP;

use crate::manifest::names::job_name;
use crate::metrics;

/// Each harvested Job gives the run one more round; more than a few in a row mean that something is wrong.
const MAX_ROUNDS: usize = 5;

/// Executes a run. Never fails: a failure is a report.
///
/// The futures of its parts are boxed: each is large, and one in another they outgrow the stack of a runtime's worker
/// in a development build.
///
/// # Example
/// The binding calls it with the request's JSON text, a host that takes log lines, and a signal to stop.
pub async fn execute(
    server: &Arc<Server>,
    arrival: Arrival,
    request: String,
    host: Arc<dyn Host>,
    stop: Stop,
) -> Report {
    // What the server's log says of the run is said inside; its ids are known when the request is read.
    let span = tracing::error_span!("run", run = Empty, agent = Empty, job = Empty);
    let since = Instant::now();
    let executed = async {
        let report = tokio::select! {
            report = Box::pin(executed(server, arrival, request, host, stop.clone())) => report,
            // All of the run is dropped where it is, as if the process had died there: what is left in the cluster and on
            // the volume is what a successor expects of a dead server, and this process holds nothing of it any more.
            () = stop.left() => lease_lost().into(),
        };
        log_end(&report, since, stop.asked_at());
        report
    };
    Box::pin(executed).instrument(span).await
}

async fn executed(
    server: &Arc<Server>,
    arrival: Arrival,
    request: String,
    host: Arc<dyn Host>,
    stop: Stop,
) -> Report {
    let read = OnceLock::new();
    let (host_log, mut reporter) = HostLog::new(host, stop.clone());
    let host_log = host_log.counted();
    let attempting = async {
        tokio::select! {
            attempted = Box::pin(attempt(server, arrival, request, &read, &host_log, stop.clone())) => attempted,
            never = reporter.run() => match never {},
            never = log_cancel(&stop) => match never {},
            never = keepalive(&host_log) => match never {},
        }
    };
    let attempted = match AssertUnwindSafe(attempting).catch_unwind().await {
        Ok(attempted) => attempted,
        Err(fault) => {
            let words = words_of(fault.as_ref());
            let failure = tokio::select! {
                failure = Box::pin(after_fault(server, read.get(), &words)) => failure,
                never = keepalive(&host_log) => match never {},
            };
            Err((failure, Harvest::default()))
        }
    };
    host_log.end();
    reporter.flush().await;
    let report = match attempted {
        Ok(report) => {
            // Whoever reads the log to its end finds there why the run failed.
            if let Some(message) = report.judged_failure() {
                host_log.warn(message).await;
            }
            report
        }
        Err((failure, harvest)) => {
            if failure.code != failure::CANCELLED {
                host_log.warn(&failure.message).await;
            }
            Report {
                harvest,
                ..failure.into()
            }
        }
    };
    // It may quote a pod or the API server.
    report.shown(|message| host_log.message(message))
}

/// Says when the run is asked to stop.
async fn log_cancel(stop: &Stop) -> std::convert::Infallible {
    let reason = stop.asked().await;
    tracing::info!(%reason, "cancel asked");
    std::future::pending().await
}

/// The end of a run in the server's log and in its metrics: by code and proof, without a word of the agent.
fn log_end(report: &Report, since: Instant, asked_at: Option<Instant>) {
    let (code, proof) = (report.code().unwrap_or(metrics::SUCCESS), report.proof());
    metrics::note(|metrics| metrics.run_ended(code, proof));
    let (seconds, bytes) = (
        since.elapsed().as_secs_f64(),
        report.log.as_ref().map(|log| log.bytes),
    );
    if report.is_doubtful() {
        tracing::warn!(code, proof, seconds, bytes, "run ended");
    } else {
        tracing::info!(code, proof, seconds, bytes, "run ended");
    }
    if let Some(asked_at) = asked_at {
        let (seconds, is_gone) = (asked_at.elapsed().as_secs_f64(), report.is_acknowledged);
        tracing::info!(seconds, is_gone, "cancel answered");
    }
}

/// A fault of the adapter itself: nobody follows the run's Job any more, so it must not work on.
async fn after_fault(server: &Arc<Server>, request: Option<&RunRequest>, words: &str) -> Failure {
    let left = match request {
        None => "Nothing was started".to_owned(),
        Some(request) => {
            let removal = AssertUnwindSafe(remove_job(server, request.clone())).catch_unwind();
            match timeout(CLEAN_UP.calm, removal).await {
                Ok(Ok(Ok(job))) => format!("Its Job {job} was removed"),
                Ok(Ok(Err(failure))) => format!("Its Job may still be at work: {}", failure.message),
                Ok(Err(_)) | Err(_) => "Its Job may still be at work".to_owned(),
            }
        }
    };
    let message = format!("fault of the adapter itself: {words}. {left}. Please report this message");
    Failure::of_input(failure::INTERNAL_ERROR, message)
}

fn words_of(fault: &(dyn Any + Send)) -> String {
    let words = fault.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let words = words.or_else(|| fault.downcast_ref::<String>().cloned());
    words.unwrap_or_else(|| "it left no words".to_owned())
}

async fn remove_job(server: &Arc<Server>, request: RunRequest) -> Result<String, Failure> {
    let (_stopper, stop) = stop_signal();
    let context = RunContext::reach(server.clone(), request, stop).await?;
    let run = &context.spec.run;
    let name = job_name(&run.agent_id, &run.id);
    let removed = context.namespace.delete_job(&name, None, CLEAN_UP.calm).await;
    removed.map_err(|error| Failure::of_input(failure::INTERNAL_ERROR, error.to_string()))?;
    Ok(name)
}

async fn attempt(
    server: &Arc<Server>,
    arrival: Arrival,
    request: String,
    read: &OnceLock<RunRequest>,
    host_log: &HostLog,
    stop: Stop,
) -> Result<Report, (Failure, Harvest)> {
    let mut harvest = Harvest::default();
    let report = in_rounds(server, arrival, request, read, host_log, stop, &mut harvest);
    match Box::pin(report).await {
        Ok(report) => Ok(Report { harvest, ..report }),
        Err(failure) => Err((failure, harvest)),
    }
}

/// Harvests what earlier runs of the task left, one round each, and then follows a Job of its own. `read` gets what
/// tells which Job is the run's.
async fn in_rounds(
    server: &Arc<Server>,
    arrival: Arrival,
    text: String,
    read: &OnceLock<RunRequest>,
    host_log: &HostLog,
    stop: Stop,
    harvest: &mut Harvest,
) -> Result<Report, Failure> {
    let request = RunRequest::parse(&text)?;
    // The prompt is in it, and the run takes hours.
    drop(text);
    read.get_or_init(|| request.without_texts());
    log_as(&request);
    if request.wants_progress {
        host_log.report_from(Instant::now());
    }
    // Boxed, here and below: a future of all steps of a run would not fit the stack of a thread.
    let mut context = Box::pin(RunContext::reach(server.clone(), request, stop)).await?;
    host_log.hide(Redactor::of(&context.spec));
    if let Some(plainer) = context.plainer {
        host_log.warn(format!("Warning: {plainer}")).await;
    }
    let turn = AgentTurn::take(&context, arrival, host_log).await;
    let done = match &turn {
        Ok(turn) => Box::pin(rounds(&mut context, turn, host_log, harvest)).await,
        Err(failure) => Err(failure.clone()),
    };
    drop(turn);
    // Never at import and never before a run: the first run of a cluster and namespace starts it.
    recover::sweep::start(&context);
    done
}

/// What is logged from here on is this run's.
fn log_as(request: &RunRequest) {
    let (span, run) = (tracing::Span::current(), &request.spec.run);
    span.record("run", run.id.as_str());
    span.record("agent", run.agent_id.as_str());
    span.record("job", job_name(&run.agent_id, &run.id).as_str());
}

async fn follow(context: &RunContext, attached: AttachedJob, host_log: &HostLog) -> Supervised {
    let run = attached.handle.run_id.clone();
    let supervised = Box::pin(supervise(&attached, host_log)).await;
    if supervised.is_reported {
        context.server.reported.note(&run);
    }
    supervised
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
        } = Box::pin(turn.next(context, host_log)).await?;
        for earlier in before {
            harvest.add(
                Box::pin(harvest_silently(context, earlier, host_log))
                    .await
                    .report,
            );
        }
        let earlier = match role {
            Role::Own => {
                // No other round needs them.
                context.spec.run.forget_texts();
                return Ok(follow(context, attached, host_log).await.report);
            }
            Role::Earlier => {
                say_taken_over(&attached, host_log);
                follow(context, attached, host_log).await
            }
            Role::Ended => Box::pin(harvest_silently(context, attached, host_log)).await,
        };
        let is_gone = earlier.report.is_acknowledged;
        let is_over = earlier.is_over;
        if !is_over && context.stop.reason().is_none() {
            // The API server is away: what became of the earlier run nobody knows.
            return Ok(earlier.report);
        }
        harvest.add(earlier.report);
        if let Some(reason) = context.stop.reason() {
            // Cancelled before it had a Job of its own: the end of an earlier one is not its end.
            return Err(Failure {
                nothing_started: is_over || is_gone,
                ..cancelled(&reason)
            });
        }
        context.resume_from(harvest);
    }
    Err(Failure::of_input(
        failure::GUARD_BLOCKED,
        format!(
            "Too many earlier Jobs: {MAX_ROUNDS} of this task were harvested one after another. Start the run again"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::client::Connect;
    use crate::run::clock::Clock;
    use crate::run::host::Kind;
    use crate::run::volume::blocking::Volume;
    use crate::tail::Hub;
    use futures::future::BoxFuture;

    struct Quiet;
    impl Host for Quiet {
        fn say(&self, _kind: Kind, _payload: String) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test]
    async fn a_fault_of_the_adapter_is_named_in_the_result() {
        let connect = Connect::new(|_| async { panic!("a bad day") });
        let server = Arc::new(Server::new(
            Hub::default(),
            connect,
            Volume::default(),
            Clock::default(),
        ));
        let request =
            r#"{"runId":"r","agent":{"id":"a","companyId":"c"},"prompt":"x","environment":{"hostname":"p"}}"#
                .to_owned();
        let (_stopper, stop) = stop_signal();
        let arrival = server.agents.arrive("a");
        let result = execute(&server, arrival, request, Arc::new(Quiet), stop)
            .await
            .to_value();
        assert_eq!(result["errorCode"], failure::INTERNAL_ERROR);
        let message = result["errorMessage"].as_str().unwrap_or_default();
        assert!(
            message.contains("a bad day") && message.contains("may still be at work"),
            "{message}"
        );
    }
}
