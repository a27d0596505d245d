//! The session codec, and whether a session is resumed. JSON text in and out.

use napi_derive::napi;
use serde_json::{Value, json};

use super::Result;
use super::code::{error, invalid};
use crate::codes::{CONFIG_INVALID, INVALID_REQUEST};
use crate::config::session;
use crate::config::{RenderRequest, Settings, working_dir};

fn value(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| invalid(format!("session: {error}")))
}

/// Session parameters from what was stored; `null` when it holds none.
#[napi(catch_unwind)]
pub fn session_deserialize(raw_json: String) -> Result<String> {
    Ok(json!(session::deserialize(&value(&raw_json)?)).to_string())
}

/// What is stored for session parameters; `null` when they hold no session.
#[napi(catch_unwind)]
pub fn session_serialize(params_json: String) -> Result<String> {
    Ok(json!(session::serialize(&value(&params_json)?)).to_string())
}

/// The id that people see, if there is one.
#[napi(catch_unwind)]
pub fn session_display_id(params_json: String) -> Result<Option<String>> {
    Ok(session::display_id(&value(&params_json)?))
}

/// Whether this run resumes a session: `{sessionId, note, workingDir}`. The prompt's shape must follow it.
#[napi(catch_unwind)]
pub fn plan_session(request_json: String) -> Result<String> {
    let request = RenderRequest::from_json(&request_json).map_err(|cause| error(INVALID_REQUEST, cause))?;
    let settings = Settings::read(&request).map_err(|cause| error(CONFIG_INVALID, cause))?;
    let resume = session::resume(
        &request.runtime,
        working_dir(&request.context, &settings),
        settings.resume_last_session,
    );
    let plan = json!({"sessionId": resume.session_id, "note": resume.note, "workingDir": working_dir(&request.context, &settings)});
    Ok(plan.to_string())
}
