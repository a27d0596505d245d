//! Counts what this process holds for its runs: for tests, and for the search for a leak in a server.

use napi_derive::napi;
use serde_json::json;

use super::server;

/// Counts what this process holds for its runs and tails. All are 0 while there are none.
#[napi(catch_unwind, ts_return_type = "HeldResources")]
#[must_use]
pub fn held_resources() -> String {
    let server = server();
    let (taken, waiting) = server.places.count();
    json!({
        "watches": server.views.count() * 2,
        "agents": server.agents.held(),
        "places": taken.saturating_add(waiting as u64),
        "tails": server.hub.tails(),
        "stuckThreads": server.hub.stuck_threads(),
    })
    .to_string()
}
