//! What this process holds for its runs: for tests, and for whoever looks for a leak in a server.

use napi_derive::napi;
use serde_json::json;

use crate::cluster::View;
use crate::run::admit::concurrency::agents_with_a_run;

/// Counts as JSON text: `{"watches": …, "agents": …, "tails": …, "stuckThreads": …}`. Without a run all are 0: `watches` of
/// the API server, mutexes of `agents`, followed files (`tails`), and threads that hang on a mount that does not answer.
#[napi(catch_unwind)]
#[must_use]
pub fn held_resources() -> String {
    let hub = super::tail::hub();
    json!({
        "watches": View::open_ones() * 2,
        "agents": agents_with_a_run(),
        "tails": hub.tails(),
        "stuckThreads": hub.stuck_threads(),
    })
    .to_string()
}
