//! One run, from the request to the result. Reads like the picture in `docs/design.md`; holds no rule about
//! success: that is `outcome`.

pub mod bill;
pub mod calls;
pub mod claim;
pub mod conclude;
pub mod crier;
pub mod database;
pub mod deliver;
pub mod failure;
pub mod guard;
pub mod live;
pub mod news;
pub mod observe;
pub mod outcome;
pub mod papers;
pub mod redact;
pub mod request;
pub mod snippet;
pub mod stop;
pub mod submit;
mod sweep;
pub mod told;
pub mod voice;
pub mod volume;

mod adopt;
mod clock;
mod ending;
mod finish;
mod folder;
mod gate;
mod launch;
mod site;
mod stages;
mod start;
mod unheard;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use failure::Failure;
use finish::Finished;
use request::RunRequest;
use site::Site;
use snippet::Veil;
use start::{Begun, Role, Started};
use stop::Stop;
use voice::{Host, Voice};

use crate::tail::Hub;

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
pub async fn execute(request: &str, host: Arc<dyn Host>, stop: Stop, hub: &Hub) -> Outcome {
    let (voice, mut crier) = Voice::new(host, stop.clone());
    let attempted = tokio::select! {
        attempted = attempt(request, &voice, stop, hub) => attempted,
        never = crier.cry() => match never {},
    };
    crier.farewell().await;
    match attempted {
        Ok(outcome) => outcome,
        Err(failure) => {
            if failure.code != failure::CANCELLED {
                voice.warn(&failure.message).await;
            }
            failure.into_result().into()
        }
    }
}

async fn attempt(request: &str, voice: &Voice, stop: Stop, hub: &Hub) -> Result<Outcome, Failure> {
    let request = RunRequest::parse(request)?;
    if request.wants_progress {
        // The round before may have told something just now.
        let pause = if request.continues {
            news::PACE
        } else {
            Duration::ZERO
        };
        voice.report_from(Instant::now() + pause);
    }
    let site = Site::reach(request, stop).await?;
    voice.hide(Veil::of(&site.spec));
    if let Some(plainer) = site.plainer {
        voice.warn(format!("Warning: {plainer}")).await;
    }
    let started = start::start(&site, voice, hub).await;
    let outcome = match started {
        Ok((started, turn)) => {
            let outcome = follow(&site, started, voice).await;
            drop(turn);
            Ok(outcome)
        }
        Err(failure) => Err(failure),
    };
    // Never at import and never before a run: the first run of a cluster and namespace starts it.
    sweep::start(&site);
    outcome
}

/// Follows what was started, or found, to its end.
async fn follow(site: &Site, started: Started, voice: &Voice) -> Outcome {
    let mut bill = Vec::new();
    for begun in started.before {
        bill.push(told(site, begun, voice).await.result);
    }
    let mut outcome = match started.role {
        Role::Own => finish::finish(started.begun, voice).await.result.into(),
        Role::Earlier => after(site, finish::finish(started.begun, voice).await),
        Role::Ended => after(site, told(site, started.begun, voice).await),
    };
    for earlier in &bill {
        bill::add(&mut outcome.result, earlier);
    }
    outcome
}

/// Harvests a run that has ended, and says in one line what came of it.
async fn told(site: &Site, begun: Begun, voice: &Voice) -> Finished {
    let name = begun.live.job_name.clone();
    let (quiet, _) = Voice::new(Arc::new(voice::Nobody), site.stop.clone());
    let finished = finish::finish(begun, &quiet).await;
    // What another server has told meanwhile is no news, and its files were gone before they were read.
    if !finished.by_another {
        voice.status(report(&name, &finished.result)).await;
    }
    finished
}

/// What follows the harvest of an earlier Job.
fn after(site: &Site, finished: Finished) -> Outcome {
    let next = finished.settled.then(|| next(site, &finished.result));
    let result = match site.stop.reason() {
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
fn next(site: &Site, result: &Value) -> Value {
    let stored = &site.request.render.runtime;
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
