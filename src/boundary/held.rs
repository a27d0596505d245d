//! Counts what this process holds for its runs: for tests, and for the search for a leak in a server.

use napi_derive::napi;
use serde_json::json;

use super::server;

/// Counts as JSON text: `{"watches": …, "agents": …, "tails": …, "stuckThreads": …}`. `watches` of the API server,
/// `agents` that have a run, files that are followed (`tails`), and threads that hang on a mount that does not answer.
/// All are 0 while there is no run.
#[napi(catch_unwind)]
#[must_use]
pub fn held_resources() -> String {
    let server = server();
    json!({
        "watches": server.views.count() * 2,
        "agents": server.agents.held(),
        "tails": server.hub.tails(),
        "stuckThreads": server.hub.stuck_threads(),
    })
    .to_string()
}
