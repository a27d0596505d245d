//! The environment test.

use napi_derive::napi;
use serde_json::json;

/// Checks what a run needs: the API server, every right, the shared volume. Takes some seconds at most; rejects only
/// with a TypeError for what is no request.
#[napi(
    ts_args_type = "request: ProbeRequest",
    ts_return_type = "Promise<{ checks: EnvironmentCheck[] }>"
)]
pub async fn probe_environment(request_json: String) -> String {
    json!({ "checks": crate::probe::probe(super::server(), &request_json).await }).to_string()
}
