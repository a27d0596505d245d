//! opencode's stream: the parser, and the judgement of a finished run.

use napi_derive::napi;

use super::Result;
use super::code::invalid;
use crate::config::read_named;
use crate::opencode;
use crate::run::outcome::{Facts, resolve};

/// Folds opencode's JSON lines into session, summary, usage, cost and errors. Lines that are no JSON are skipped.
#[napi(catch_unwind, ts_return_type = "ParsedTranscript")]
#[must_use]
pub fn parse_open_code_jsonl(stdout: String) -> String {
    opencode::parse_jsonl(&stdout).to_string()
}

/// Whether the run ended because the agent used up its steps.
#[napi(catch_unwind)]
#[must_use]
pub fn is_open_code_step_limit_result(stdout: String) -> bool {
    opencode::is_step_limit(&stdout)
}

/// Whether opencode did not know the session that it was asked to resume. `stderr` is empty by default.
#[napi(catch_unwind, ts_args_type = "stdout: string, stderr?: string")]
#[must_use]
pub fn is_open_code_unknown_session_error(stdout: String, stderr: String) -> bool {
    opencode::is_unknown_session(&stdout, &stderr)
}

/// The result that `execute` returns for these facts of a finished run. Pure. Unknown is never a success.
///
/// Throws a TypeError that names the field for what are no facts, and for required ones that are missing.
#[napi(
    catch_unwind,
    ts_args_type = "facts: OutcomeFacts",
    ts_return_type = "RunResult"
)]
pub fn resolve_outcome(facts_json: String) -> Result<String> {
    let facts: Facts = read_named(&facts_json).map_err(|error| invalid(format!("facts.{error}")))?;
    serde_json::to_string(&resolve(&facts)).map_err(invalid)
}
