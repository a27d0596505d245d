//! The session codec.

use napi_derive::napi;
use serde_json::{Value, json};

use super::Result;
use super::code::invalid;
use crate::config::session;

fn value(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| invalid(format!("session: {error}")))
}

/// Session parameters from what a host has stored, in every spelling that was ever written;
/// `null` when it holds none.
#[napi(
    catch_unwind,
    ts_args_type = "raw: unknown",
    ts_return_type = "SessionParams | null"
)]
pub fn session_deserialize(raw_json: String) -> Result<String> {
    Ok(json!(session::deserialize(&value(&raw_json)?)).to_string())
}

/// What a host is to store for session parameters; `null` when they hold no session.
#[napi(
    catch_unwind,
    ts_args_type = "params: unknown",
    ts_return_type = "SessionParams | null"
)]
pub fn session_serialize(params_json: String) -> Result<String> {
    Ok(json!(session::serialize(&value(&params_json)?)).to_string())
}

/// The session id that people see; `null` when there is none.
#[napi(catch_unwind, ts_args_type = "params: unknown")]
pub fn session_display_id(params_json: String) -> Result<Option<String>> {
    Ok(session::display_id(&value(&params_json)?))
}
