//! Paths, labels and the manifest: pure and synchronous.

use napi_derive::napi;
use serde_json::json;

use super::Result;
use super::code::{error, invalid};
use crate::config::{RenderRequest, RunSpec};
use crate::manifest::{self, names};

/// The run's log file as the pod sees it.
///
/// Throws `Invalid <field> for log path: <value>` for an id that is not made of letters, digits and hyphens.
#[napi(catch_unwind)]
pub fn build_pod_log_path(company_id: String, agent_id: String, run_id: String) -> Result<String> {
    manifest::pod_log_path(&company_id, &agent_id, &run_id).map_err(invalid)
}

/// Renders the Job. JSON text in and out: see `buildJobManifest` of the adapter.
#[napi(catch_unwind)]
pub fn build_job_manifest(request_json: String) -> Result<String> {
    let config = |cause: crate::config::ConfigError| error("k8s_config_invalid", cause);
    let request = RenderRequest::from_json(&request_json).map_err(config)?;
    let spec = RunSpec::from_request(&request).map_err(config)?;
    let rendered = manifest::render(&spec).map_err(|cause| error(cause.code(), cause))?;
    let result = json!({
        "job": rendered.job,
        "jobName": rendered.job_name,
        "namespace": rendered.namespace,
        "prompt": rendered.prompt,
        "opencodeArgs": rendered.opencode_args,
        "promptMetrics": rendered.prompt_metrics,
        "podLogPath": rendered.pod_log_path,
        "warnings": rendered.warnings,
    });
    Ok(result.to_string())
}

/// A label value that the API accepts: `{value, dropped}` as JSON text.
#[napi(catch_unwind)]
#[must_use]
pub fn sanitize_label_value(value: String) -> String {
    let (value, dropped) = names::sanitize_label_value(&value);
    json!({"value": value, "dropped": dropped}).to_string()
}
