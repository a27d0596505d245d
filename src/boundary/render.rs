//! Paths, labels and the manifest.

use k8s_openapi::api::batch::v1::Job;
use napi_derive::napi;
use serde::Serialize;
use serde_json::json;

use super::Result;
use super::code::{error, invalid};
use crate::codes::CONFIG_INVALID;
use crate::config::{RenderRequest, RunSpec};
use crate::manifest::{self, names};

/// The run's log file as the pod sees it.
///
/// Throws `Invalid <field> for log path: <value>` for an id that is not made of letters, digits and hyphens.
#[napi(catch_unwind)]
pub fn build_pod_log_path(company_id: String, agent_id: String, run_id: String) -> Result<String> {
    manifest::pod_log_path(&company_id, &agent_id, &run_id).map_err(invalid)
}

/// A rendered manifest, without what the adapter knows already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestAnswer<'a> {
    job: &'a Job,
    job_name: &'a str,
    namespace: &'a str,
    opencode_args: &'a [String],
    pod_log_path: &'a str,
    warnings: &'a [String],
}

/// Renders the Job. JSON text in and out: see `buildJobManifest` of the adapter. The prompt comes beside the request
/// and is not returned: to convert a large one twice would take most of the time here.
#[napi(catch_unwind)]
pub fn build_job_manifest(request_json: String, prompt: String) -> Result<String> {
    let config = |cause: crate::config::ConfigError| error(CONFIG_INVALID, cause);
    let mut request = RenderRequest::from_json(&request_json).map_err(config)?;
    request.prompt = prompt;
    let spec = RunSpec::from_request(&request).map_err(config)?;
    let rendered = manifest::render(&spec).map_err(|cause| error(cause.code(), cause))?;
    let answer = ManifestAnswer {
        job: &rendered.job,
        job_name: &rendered.job_name,
        namespace: &rendered.namespace,
        opencode_args: &rendered.opencode_args,
        pod_log_path: &rendered.pod_log_path,
        warnings: &rendered.warnings,
    };
    serde_json::to_string(&answer).map_err(invalid)
}

/// A label value that the API accepts: `{value, dropped}` as JSON text.
#[napi(catch_unwind)]
#[must_use]
pub fn sanitize_label_value(value: String) -> String {
    let (value, dropped) = names::sanitize_label_value(&value);
    json!({"value": value, "dropped": dropped}).to_string()
}
