//! Paths, labels and the manifest.

use k8s_openapi::api::batch::v1::Job;
use napi::bindgen_prelude::Utf16String;
use napi_derive::napi;
use serde::Serialize;
use serde_json::json;

use super::Result;
use super::code::{error, invalid};
use super::text::{is_well_formed, utf8_of};
use crate::config::{ConfigError, Prompt, Prompts, RenderRequest, RunSpec};
use crate::manifest::{self, KnownTexts, names, take_known_texts};
use crate::run::request::code_of;

/// The run's log file as the pod sees it.
///
/// Throws `Invalid <field> for log path: <value>` for an id that is not made of letters, digits and hyphens.
#[napi(
    catch_unwind,
    ts_args_type = "companyId: string, agentId: string, runId: string",
    ts_return_type = "string"
)]
pub fn build_pod_log_path(company_id: String, agent_id: String, run_id: String) -> Result<String> {
    manifest::pod_log_path(&company_id, &agent_id, &run_id).map_err(invalid)
}

/// A rendered manifest, without what the caller knows already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestAnswer<'a> {
    job: &'a Job,
    job_name: &'a str,
    namespace: &'a str,
    opencode_args: &'a [String],
    pod_log_path: &'a str,
    warnings: &'a [String],
    resumes_session: bool,
    /// No prompt holds half characters.
    is_well_formed: bool,
    /// Where the caller puts the texts that it has.
    known_texts: KnownTexts,
}

/// Builds the Kubernetes Job of a run from a rendered prompt. Pure: no clock, no file, no API server.
///
/// Throws a TypeError for what is no `JobBuildInput`; else an error with a `code`: `k8s_config_invalid` names the field
/// of the agent's configuration that cannot be used, `k8s_invalid_id` the id, `k8s_prompt_too_large` says that the
/// prompt fits into no Secret.
// The prompts come beside the request and are not returned, also not as a part of the Job: to convert a large one twice
// would take most of the time.
#[napi(
    catch_unwind,
    ts_args_type = "input: JobBuildInput",
    ts_return_type = "JobBuildResult"
)]
pub fn build_job_manifest(
    request_json: String,
    prompt: Utf16String,
    resumed_prompt: Option<Utf16String>,
) -> Result<String> {
    let config = |cause: ConfigError| error(code_of(&cause), cause);
    let request = RenderRequest::from_json(&request_json).map_err(config)?;
    let mut spec = RunSpec::from_request(request).map_err(config)?;
    spec.run.prompts = Prompts {
        fresh: prompt_of(&prompt),
        resumed: resumed_prompt.as_ref().map(prompt_of),
    };
    let mut rendered = manifest::render(&spec).map_err(|cause| error(cause.code(), cause))?;
    let known_texts = take_known_texts(&mut rendered.job, &spec.run.prompt().text);
    let resumed = resumed_prompt.as_deref().zip(spec.run.prompts.resumed.as_ref());
    let answer = ManifestAnswer {
        job: &rendered.job,
        job_name: &rendered.job_name,
        namespace: &rendered.namespace,
        opencode_args: &rendered.opencode_args,
        pod_log_path: &rendered.pod_log_path,
        warnings: &rendered.warnings,
        resumes_session: spec.run.resume.session_id.is_some(),
        is_well_formed: is_well_formed(&prompt, &spec.run.prompts.fresh.text)
            && resumed.is_none_or(|(text, prompt)| is_well_formed(text, &prompt.text)),
        known_texts,
    };
    serde_json::to_string(&answer).map_err(invalid)
}

/// Its metrics stay with the caller.
fn prompt_of(text: &Utf16String) -> Prompt {
    Prompt {
        text: utf8_of(text),
        ..Prompt::default()
    }
}

/// The script of the agent's container, which a manifest leaves out.
#[napi(catch_unwind, skip_typescript)]
#[must_use]
pub fn pod_script() -> &'static str {
    manifest::pod_script()
}

/// A valid Kubernetes label value made of any text: lower case, at most 63 characters.
/// `warn` is told what was dropped.
#[napi(
    catch_unwind,
    ts_args_type = "value: string, warn?: (message: string) => void",
    ts_return_type = "string"
)]
#[must_use]
pub fn sanitize_label_value(value: String) -> String {
    let (value, dropped) = names::sanitize_label_value(&value);
    json!({"value": value, "dropped": dropped}).to_string()
}
