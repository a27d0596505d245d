//! What this process holds for its runs: for tests, and for whoever looks for a leak in a server.

use napi_derive::napi;
use serde_json::json;

use super::server;

/// Counts as JSON text: `{"watches": …, "agents": …, "tails": …, "stuckThreads": …}`. Without a run all are 0: `watches` of
/// the API server, mutexes of `agents`, followed files (`tails`), and threads that hang on a mount that does not answer.
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
