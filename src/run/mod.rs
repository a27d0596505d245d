//! One run, from the request to the result. Reads like the picture in `docs/design.md`; holds no rule about
//! success: that is `outcome`.

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
    for begun in started.before {
        told(site, begun, voice).await;
    }
    match started.role {
        Role::Own => finish::finish(started.begun, voice).await.result.into(),
        Role::Earlier => after(site, finish::finish(started.begun, voice).await),
        Role::Ended => after(site, told(site, started.begun, voice).await),
    }
}

/// Harvests a run that has ended, and says in one line what came of it.
async fn told(site: &Site, begun: Begun, voice: &Voice) -> Finished {
    let name = begun.live.job_name.clone();
    let (quiet, _) = Voice::new(Arc::new(voice::Nobody), site.stop.clone());
    let finished = finish::finish(begun, &quiet).await;
    voice.status(report(&name, &finished.result)).await;
    finished
}

/// What follows the harvest of an earlier Job.
fn after(site: &Site, finished: Finished) -> Outcome {
    Outcome {
        next: finished.settled.then(|| next(site, &finished.result)),
        result: finished.result,
    }
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
