//! opencode's stream: the parser, and the judgement of a finished run.

use napi_derive::napi;

use super::Result;
use super::code::invalid;
use crate::opencode;
use crate::run::outcome::{Facts, resolve};

/// Parses opencode's JSONL. Returns JSON text with the fields of the TypeScript adapter and further ones.
#[napi(catch_unwind)]
#[must_use]
pub fn parse_open_code_jsonl(stdout: String) -> String {
    opencode::parse_jsonl(&stdout).to_string()
}

/// Whether the stream says that the step limit was reached.
#[napi(catch_unwind)]
#[must_use]
pub fn is_step_limit_result(stdout: String) -> bool {
    opencode::is_step_limit(&stdout)
}

/// Whether opencode says that it does not know the session.
#[napi(catch_unwind)]
#[must_use]
pub fn is_unknown_session_error(stdout: String, stderr: String) -> bool {
    opencode::is_unknown_session(&stdout, &stderr)
}

/// Judges a finished run: facts as JSON text in, `AdapterExecutionResult` as JSON text out.
#[napi(catch_unwind)]
pub fn resolve_outcome(facts_json: String) -> Result<String> {
    let facts: Facts =
        serde_json::from_str(&facts_json).map_err(|error| invalid(format!("facts: {error}")))?;
    serde_json::to_string(&resolve(&facts)).map_err(invalid)
}
