//! What is used of the namespace's quotas.

use napi_derive::napi;
use serde_json::json;

/// What is used of the ResourceQuotas of the server's namespace. Takes 10 s at most; rejects only with a TypeError for
/// what is no request.
#[napi(
    ts_args_type = "request: QuotaRequest",
    ts_return_type = "Promise<{ windows: QuotaWindow[] } | { problem: string }>"
)]
pub async fn quota_windows(request_json: String) -> String {
    let answer = match crate::quotas::read(super::server(), &request_json).await {
        Ok(windows) => json!({ "windows": windows }),
        Err(problem) => json!({ "problem": problem }),
    };
    answer.to_string()
}
