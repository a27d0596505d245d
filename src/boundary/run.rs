//! `startRun`: one run of an agent.

use std::sync::{Arc, PoisonError};

use napi::Env;
use napi::bindgen_prelude::External;
use napi_derive::napi;

use super::code::invalid;
use super::crossing::{Crossing, Item, Outbox, Owner, Source};
use super::{Result, server, tasks};
use crate::run::host::batches::Call;
use crate::run::stop::stop_signal;

/// Starts one run of an agent.
///
/// `request` is what the adapter made of the host's context. `onCall(kind, payload)` gets what the run tells: whole
/// lines (`stdout`, `stderr`), or JSON text. It may return a promise. The next lines come when it has settled; progress
/// and events come beside the lines. What it throws is the run's to judge, and ends neither run nor process. `result`
/// rejects only when the addon itself fails. The run keeps the process alive; when its thread ends, it is left to the
/// cluster.
#[napi(
    catch_unwind,
    ts_args_type = "\n  request: RunStart,\n  onCall: (kind: RunCallKind, payload: string) => void | Promise<void>\n",
    ts_return_type = "RunHandle"
)]
pub fn start_run(
    env: Env,
    crossing: &External<Crossing>,
    request_json: String,
    agent_id: String,
) -> Result<u32> {
    let (number, host) = crossing.calls.caller();
    let (stopper, stop) = stop_signal();
    let stoppers = crossing.stoppers.clone();
    stoppers
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(number, stopper);
    let calls = crossing.calls.clone();
    let end = RunEnd {
        outbox: crossing.outbox.clone(),
        number,
        result: None,
    };
    // Here and not in the task: workers may begin tasks in any order.
    let arrival = server().agents.arrive(&agent_id);
    let work = async move {
        let report = crate::run::execute(server(), arrival, request_json, Arc::new(host), stop).await;
        // After its result a run's host takes no call.
        calls.until_delivered(number).await;
        stoppers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
        end.with(report.to_value().to_string());
    };
    tasks::spawn(env, work).map_err(invalid)?;
    Ok(number)
}

/// Asks the run to stop: its Job is deleted and the result says `cancelled`. Later calls change nothing.
#[napi(catch_unwind, skip_typescript)]
pub fn cancel_run(crossing: &External<Crossing>, run: u32, reason: String) {
    let stoppers = crossing.stoppers.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stopper) = stoppers.get(&run) {
        stopper.stop(&reason);
    }
}

/// Asks the run to end at once and to leave its Job, its files and its Secret as they are: the result says
/// `k8s_lease_lost`. Later calls change nothing.
#[napi(catch_unwind, skip_typescript)]
pub fn leave_run(crossing: &External<Crossing>, run: u32) {
    let stoppers = crossing.stoppers.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stopper) = stoppers.get(&run) {
        stopper.leave();
    }
}

/// Tells the end of a run, whatever ended it.
struct RunEnd {
    outbox: Arc<Outbox>,
    number: u32,
    /// `None`: a panic, or the end of the thread.
    result: Option<String>,
}

impl RunEnd {
    fn with(mut self, result: String) {
        self.result = Some(result);
    }
}

impl Drop for RunEnd {
    fn drop(&mut self) {
        let (kind, text) = match self.result.take() {
            Some(result) => ("result", result),
            None => ("failed", "the run ended with its thread".to_owned()),
        };
        let owner = Owner::Run(self.number);
        let item = Item {
            owner,
            number: 0,
            kind,
            text,
        };
        self.outbox.post(Source::Result, vec![item]);
    }
}

/// The calls of runs for JavaScript.
pub(super) fn items_of(batch: Vec<Call>) -> Vec<Item> {
    let item = |call: Call| Item {
        owner: Owner::Run(call.run),
        number: call.call,
        kind: call.kind.as_str(),
        text: call.payload,
    };
    batch.into_iter().map(item).collect()
}
