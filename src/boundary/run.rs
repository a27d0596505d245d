//! `openRuns`: runs of agents. All runs of one JavaScript environment share one callback: what one look at all logs
//! found crosses as one string.

use std::fmt::Write as _;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::Function;
use napi_derive::napi;
use tokio::sync::watch;

use super::code::invalid;
use super::text::{CopiedString, OutgoingText, StringFactory, sink_of, units};
use super::{Result, server, tasks};
use crate::run::host::batches::{Call, Calls};
use crate::run::stop::{Stopper, stop_signal};

/// The runs of one JavaScript environment.
#[napi]
pub struct Runs {
    calls: Calls,
}

#[napi]
impl Runs {
    /// Executes one run. When the JavaScript environment ends, the run is left to the cluster.
    #[napi(catch_unwind)]
    pub fn start(&self, env: Env, request_json: String) -> Result<RunHandle> {
        let (number, host) = self.calls.caller();
        let (stopper, stop) = stop_signal();
        let (done, result) = watch::channel(None);
        let calls = self.calls.clone();
        let work = async move {
            let report = crate::run::execute(server(), &request_json, Arc::new(host), stop).await;
            calls.until_delivered(number).await;
            done.send_replace(Some(report.to_value().to_string()));
        };
        tasks::spawn(env, work).map_err(invalid)?;
        Ok(RunHandle {
            number,
            stopper,
            result,
        })
    }

    /// The last batch is taken apart: the next one may come.
    #[napi(catch_unwind)]
    pub fn arrived(&self) {
        self.calls.arrived();
    }

    /// These calls have ended well: their runs may go on.
    #[napi(catch_unwind)]
    pub fn answered(&self, calls: Vec<u32>) {
        for call in calls {
            self.calls.answer(call, Ok(()));
        }
    }

    /// This call has failed.
    #[napi(catch_unwind)]
    pub fn failed(&self, call: u32, message: String) {
        self.calls.answer(call, Err(message));
    }
}

/// A run in progress.
#[napi]
pub struct RunHandle {
    number: u32,
    stopper: Stopper,
    result: watch::Receiver<Option<String>>,
}

#[napi]
impl RunHandle {
    /// The run's number in the batches.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Asks the run to stop: its Job is deleted and the result says `cancelled`. Later calls change nothing.
    #[napi(catch_unwind)]
    pub fn cancel(&self, reason: String) {
        self.stopper.stop(&reason);
    }

    /// Resolves with an `AdapterExecutionResult` as JSON text. Keeps the process alive until then.
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

/// Opens the runs of this environment. `sink(batch)` gets the calls of all runs as one string: the payloads in a row,
/// and after the last newline four words for each call: the run's number, the call's number, the kind and the payload's
/// length in UTF-16 units. Kinds: `stdout` and `stderr` with whole lines; `meta`, `progress`, `event` and `dispatch`
/// with JSON text. A run sends its next lines when the last were answered. Progress and events come beside the lines,
/// each when the last of its kind was answered. The sink must not throw; it must answer a batch with `arrived()`, and
/// each call with `answered()` or `failed()`. Does not keep the process alive.
#[napi(catch_unwind, ts_args_type = "sink: (batch: string) => void")]
pub fn open_runs(env: Env, sink: Function<'_, CopiedString, ()>) -> Result<Runs> {
    let sink = sink_of(StringFactory::of(env), sink).map_err(invalid)?;
    let calls = Calls::new(move |batch| sink(as_text(batch)));
    env.add_env_cleanup_hook(calls.clone(), |calls| calls.close())
        .map_err(invalid)?;
    Ok(Runs { calls })
}

/// The batch as `openRuns` describes it.
fn as_text(batch: Vec<Call>) -> OutgoingText {
    let mut is_ascii = true;
    let bytes: usize = batch.iter().map(|call| call.payload.len() + 40).sum();
    let mut all = String::with_capacity(bytes);
    let mut words = String::from("\n");
    for call in batch {
        // Writing to a String cannot fail.
        let (kind, units) = (call.kind.as_str(), units(&call.payload, &mut is_ascii));
        let _ = write!(words, "{} {} {kind} {units} ", call.run, call.call);
        all.push_str(&call.payload);
    }
    all.push_str(words.trim_end_matches(' '));
    OutgoingText::new(all, is_ascii)
}
