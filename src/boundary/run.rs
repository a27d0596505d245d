//! `startRun`: one run of an agent.

use std::sync::Arc;

use napi::Env;
use napi_derive::napi;

use super::sink::{Callback, Sink};
use super::{Result, tail, tasks};
use crate::run::stop::{Stopper, stop_signal};

/// A run that is on.
#[napi]
pub struct RunHandle {
    stopper: Stopper,
}

#[napi]
impl RunHandle {
    /// Asks the run to stop: its Job is deleted and the result says `cancelled`. Later calls change nothing.
    #[napi(catch_unwind)]
    pub fn cancel(&self, reason: String) {
        self.stopper.stop(&reason);
    }
}

/// Executes one run. `sink(kind, payload)` is awaited, one call at a time: `stdout` and `stderr` with whole lines,
/// `meta`, `progress`, `event` and `dispatch` with JSON text, and at the end, once, `result` with
/// `{"result": AdapterExecutionResult}`. A sink that throws, rejects or never settles does not end the run.
/// The run holds the process until its result is given out.
#[napi(catch_unwind, ts_args_type = "requestJson: string, sink: (kind: string, payload: string) => Promise<void> | void")]
pub fn start_run(env: Env, request_json: String, sink: Callback<'_>) -> Result<RunHandle> {
    let sink = Arc::new(Sink::new(&sink, true).map_err(super::code::invalid)?);
    let (stopper, stop) = stop_signal();
    let work = async move {
        let result = crate::run::execute(&request_json, sink.clone(), stop, tail::hub()).await;
        let text = serde_json::json!({ "result": result }).to_string();
        if let Err(message) = sink.call("result", text).await {
            tracing::error!(%message, "the host did not take the result");
        }
    };
    tasks::spawn(env, work).map_err(super::code::invalid)?;
    Ok(RunHandle { stopper })
}
