//! `observe`: the server's log and the metrics.

use std::sync::Arc;

use napi_derive::napi;

use super::code::invalid;
use super::{Result, server};
use crate::metrics::Looked;
use crate::observe::{self, Wanted};

/// Begins to write the adapter's events to stderr, and to export its metrics, as the server's environment asks. Only
/// the first call of a process does anything. Never fails for what the environment says: that is a line of the log.
#[napi(catch_unwind, ts_args_type = "wanted: Observation")]
pub fn observe(wanted_json: String) -> Result<()> {
    let wanted: Wanted =
        serde_json::from_str(&wanted_json).map_err(|error| invalid(format!("observe: {error}")))?;
    observe::start(&wanted, Arc::new(look));
    Ok(())
}

fn look() -> Looked {
    let hub = &server().hub;
    let (max_lag, lag) = hub.lag();
    Looked {
        tails: hub.tails(),
        max_lag,
        lag,
        hung_volumes: hub.hung_mounts(),
    }
}
