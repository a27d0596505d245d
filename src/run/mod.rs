//! One run, from the request to the result. Reads like the picture in `docs/design.md`; holds no rule about
//! success: that is `outcome`.

pub mod conclude;
pub mod database;
pub mod deliver;
pub mod failure;
pub mod guard;
pub mod live;
pub mod observe;
pub mod outcome;
pub mod redact;
pub mod request;
pub mod stop;
pub mod submit;
pub mod voice;

mod finish;
mod start;

use std::sync::Arc;

use serde_json::Value;

use failure::Failure;
use request::RunRequest;
use stop::Stop;
use voice::{Host, Voice};

use crate::tail::Hub;

/// Executes one run and gives back an `AdapterExecutionResult`. Never fails: a failure is a result.
///
/// # Example
/// The binding calls it with the request's JSON text, a host that takes log lines, and a signal to stop.
pub async fn execute(request: &str, host: Arc<dyn Host>, stop: Stop, hub: &Hub) -> Value {
    let voice = Voice::new(host);
    match attempt(request, &voice, stop, hub).await {
        Ok(result) => result,
        Err(failure) => {
            if failure.code != failure::CANCELLED {
                voice.warn(&failure.message).await;
            }
            failure.into_result()
        }
    }
}

async fn attempt(request: &str, voice: &Voice, stop: Stop, hub: &Hub) -> Result<Value, Failure> {
    let request = RunRequest::parse(request)?;
    let run = start::start(request, voice, stop, hub).await?;
    Ok(finish::finish(run, voice).await)
}
