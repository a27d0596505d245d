//! One run, from the request to the result. Reads like the picture in `docs/design.md`; holds no rule about
//! success: that is `outcome`.

pub mod admit;
pub mod agent_lock;
mod attached;
pub mod clock;
pub mod context;
pub mod failure;
pub mod host;
pub mod job;
pub mod outcome;
mod recover;
pub mod redact;
pub mod request;
pub mod server;
pub mod start;
pub mod stop;
pub mod supervise;
pub mod volume;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use admit::{Assignment, Role};
use attached::AttachedJob;
use context::RunContext;
use failure::Failure;
use host::log::HostLog;
use host::{Host, SilentHost};
use redact::display::Redactor;
use request::RunRequest;
use server::Server;
use stop::Stop;
use supervise::{Conclusion, finish, usage};

/// What a round of a run ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// An `AdapterExecutionResult`.
    pub result: Value,
    /// An earlier Job was harvested: the run goes on from this session with a Job of its own.
    pub next: Option<Value>,
}

impl From<Value> for Outcome {
    fn from(result: Value) -> Self {
        Self { result, next: None }
    }
}

/// Executes one round of a run. Never fails: a failure is a result.
///
/// # Example
/// The binding calls it with the request's JSON text, a host that takes log lines, and a signal to stop.
pub async fn execute(server: &Arc<Server>, request: &str, host: Arc<dyn Host>, stop: Stop) -> Outcome {
    let (host_log, mut reporter) = HostLog::new(host, stop.clone());
    let attempted = tokio::select! {
        attempted = attempt(server, request, &host_log, stop) => attempted,
        never = reporter.run() => match never {},
    };
    reporter.flush().await;
    match attempted {
        Ok(outcome) => outcome,
        Err(failure) => {
            if failure.code != failure::CANCELLED {
                host_log.warn(&failure.message).await;
            }
            failure.into_result().into()
        }
    }
}

async fn attempt(
    server: &Arc<Server>,
    request: &str,
    host_log: &HostLog,
    stop: Stop,
) -> Result<Outcome, Failure> {
    let request = RunRequest::parse(request)?;
    if request.wants_progress {
        // The round before may have told something just now.
        let pause = if request.continues {
            host::progress::PACE
        } else {
            Duration::ZERO
        };
        host_log.report_from(Instant::now() + pause);
    }
    let context = RunContext::reach(server.clone(), request, stop).await?;
    host_log.hide(Redactor::of(&context.spec));
    if let Some(plainer) = context.plainer {
        host_log.warn(format!("Warning: {plainer}")).await;
    }
    let started = admit::admit(&context, host_log, &server.hub).await;
    let outcome = match started {
        Ok((started, turn)) => {
            let outcome = follow(&context, started, host_log).await;
            drop(turn);
            Ok(outcome)
        }
        Err(failure) => Err(failure),
    };
    // Never at import and never before a run: the first run of a cluster and namespace starts it.
    recover::sweep::start(&context);
    outcome
}

/// Follows what was started, or found, to its end.
async fn follow(context: &RunContext, assignment: Assignment, host_log: &HostLog) -> Outcome {
    let mut usage = Vec::new();
    for attached in assignment.before {
        usage.push(told(context, attached, host_log).await.result);
    }
    let mut outcome = match assignment.role {
        Role::Own => finish(assignment.attached, host_log).await.result.into(),
        Role::Earlier => after(context, finish(assignment.attached, host_log).await),
        Role::Ended => after(context, told(context, assignment.attached, host_log).await),
    };
    for earlier in &usage {
        usage::add(&mut outcome.result, earlier);
    }
    outcome
}

/// Harvests a run that has ended, and says in one line what came of it.
async fn told(context: &RunContext, attached: AttachedJob, host_log: &HostLog) -> Conclusion {
    let name = attached.handle.job_name.clone();
    let (quiet, _) = HostLog::new(Arc::new(SilentHost), context.stop.clone());
    let finished = finish(attached, &quiet).await;
    // What another server has told meanwhile is no news, and its files were gone before they were read.
    if !finished.by_another {
        host_log.status(report(&name, &finished.result)).await;
    }
    finished
}

/// What follows the harvest of an earlier Job.
fn after(context: &RunContext, finished: Conclusion) -> Outcome {
    let next = finished.settled.then(|| next(context, &finished.result));
    let result = match context.stop.reason() {
        Some(reason) if next.is_none() => cancelled_after(&reason, finished.result),
        _ => finished.result,
    };
    Outcome { result, next }
}

/// This run was cancelled before it had a Job of its own: the end of an earlier one is not its end. What that used, its
/// session and what is verified about the cancel stay.
fn cancelled_after(reason: &str, earlier: Value) -> Value {
    if earlier["errorCode"] == failure::CANCELLED {
        return earlier;
    }
    let mut result = failure::cancelled(reason).into_result();
    let kept = [
        "usage",
        "usageBasis",
        "costUsd",
        "provider",
        "model",
        "billingType",
        "sessionId",
        "sessionParams",
        "sessionDisplayId",
        "clearSession",
    ];
    for field in kept {
        if let Some(value) = earlier.get(field) {
            result[field] = value.clone();
        }
    }
    let verified = earlier.pointer("/resultJson/executionCancellation");
    result["resultJson"] = verified.map_or(json!({}), |verified| json!({"executionCancellation": verified}));
    result
}

/// The session to go on with: the harvested one, else the stored one, unless it must be forgotten.
fn next(context: &RunContext, result: &Value) -> Value {
    let stored = &context.request.render.runtime;
    if result["clearSession"] == true {
        return json!({"sessionId": null, "sessionParams": null});
    }
    match result["sessionId"].as_str() {
        Some(id) => json!({"sessionId": id, "sessionParams": result["sessionParams"]}),
        None => json!({"sessionId": stored.session_id, "sessionParams": stored.session_params.to_value()}),
    }
}

/// One line about an earlier run that nobody heard the end of.
fn report(job: &str, result: &Value) -> String {
    let session = result["sessionId"].as_str().unwrap_or("unknown");
    let proof = result.pointer("/resultJson/logState").and_then(Value::as_str);
    let said = match result["errorMessage"].as_str() {
        Some(error) => format!("it failed: {error}"),
        None => format!("it said: {}", result["summary"].as_str().unwrap_or_default()),
    };
    format!(
        "An earlier Job of this task, {job}, ended while nobody was listening (session {session}, log {}): {said}",
        proof.unwrap_or("not read")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_cancelled_while_it_harvests_another_does_not_take_its_success() {
        let verified = json!({"state": "acknowledged"});
        let earlier = json!({"exitCode": 0, "summary": "done", "sessionId": "ses_1", "usage": {"inputTokens": 3},
            "resultJson": {"logState": "proven", "executionCancellation": verified}});
        let result = cancelled_after("signal", earlier.clone());
        assert_eq!(result["errorCode"], "cancelled");
        assert_eq!(result["exitCode"], Value::Null);
        assert!(result.get("summary").is_none());
        assert_eq!(
            (&result["sessionId"], &result["usage"]["inputTokens"]),
            (&json!("ses_1"), &json!(3))
        );
        assert_eq!(result["resultJson"]["executionCancellation"], verified);
        let unverified = json!({"exitCode": 0, "resultJson": {}});
        assert_eq!(
            cancelled_after("signal", unverified)["resultJson"],
            json!({}),
            "nothing is claimed"
        );
    }
}
