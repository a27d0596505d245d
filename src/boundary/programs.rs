//! What programs get as their environment: those that the server itself starts, and the agent.

use napi_derive::napi;

use super::Result;
use super::code::invalid;
use crate::config;

/// What of this server's environment a program gets that reads what lies in its HOME, and where its files can be:
/// without what leads to the shared volume, where agents write. Without HOME it gets a new one.
#[napi(
    catch_unwind,
    ts_args_type = "server: ProgramPlace",
    ts_return_type = "ProgramPlace"
)]
pub fn environment_off_volume(server_json: String) -> Result<String> {
    let answer = config::off_volume(&server_json).map_err(|error| invalid(format!("server: {error}")))?;
    Ok(answer.to_string())
}

/// The variables that an agent's configuration sets in `env`, by name: an object, or text of one.
#[napi(
    catch_unwind,
    ts_args_type = "config: { env?: unknown }",
    ts_return_type = "Record<string, string>"
)]
pub fn agent_environment(config_json: String) -> Result<String> {
    let answer =
        config::agent_environment(&config_json).map_err(|error| invalid(format!("config: {error}")))?;
    Ok(answer.to_string())
}
