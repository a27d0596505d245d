//! The environment test.

use napi_derive::napi;
use serde_json::json;

/// Checks what a run needs. JSON text in, `{checks: [{code, level, message, hint?}]}` as JSON text out. Takes some
/// seconds at most; never rejects.
#[napi]
pub async fn probe_environment(request_json: String) -> String {
    json!({ "checks": crate::probe::probe(super::server(), &request_json).await }).to_string()
}
