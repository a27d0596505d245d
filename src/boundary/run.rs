//! `startRun`: one run of an agent.

use std::sync::Arc;

use napi::Env;
use napi_derive::napi;

use tokio::sync::watch;

use super::code::invalid;
use super::sink::{Callback, Sink};
use super::{Result, tail, tasks};
use crate::run::stop::{Stopper, stop_signal};

/// A run that is on.
#[napi]
pub struct RunHandle {
    stopper: Stopper,
    result: watch::Receiver<Option<String>>,
}

#[napi]
impl RunHandle {
    /// Asks the run to stop: its Job is deleted and the result says `cancelled`. Later calls change nothing.
    #[napi(catch_unwind)]
    pub fn cancel(&self, reason: String) {
        self.stopper.stop(&reason);
    }

    /// Resolves with `{"result": AdapterExecutionResult}` as JSON text. Holds the process until then.
    #[napi]
    pub async fn result(&self) -> napi::Result<String> {
        let mut result = self.result.clone();
        let ended = result.wait_for(Option::is_some).await;
        ended
            .ok()
            .and_then(|text| text.clone())
            .ok_or_else(|| napi::Error::from_reason("the run ended with its thread"))
    }
}

/// Executes one run. `sink(kind, payload)` is awaited, one call at a time: `stdout` and `stderr` with whole lines,
/// `meta`, `progress`, `event` and `dispatch` with JSON text. A sink that throws, rejects or never settles does not
/// end the run. When the JavaScript environment ends, the run is left to the cluster.
#[napi(
    catch_unwind,
    ts_args_type = "requestJson: string, sink: (kind: string, payload: string) => Promise<void> | void"
)]
pub fn start_run(env: Env, request_json: String, sink: Callback<'_>) -> Result<RunHandle> {
    let sink = Arc::new(Sink::new(&sink, false).map_err(invalid)?);
    let (stopper, stop) = stop_signal();
    let (done, result) = watch::channel(None);
    let work = async move {
        let result = crate::run::execute(&request_json, sink, stop, tail::hub()).await;
        done.send_replace(Some(serde_json::json!({ "result": result }).to_string()));
    };
    tasks::spawn(env, work).map_err(invalid)?;
    Ok(RunHandle { stopper, result })
}
