//! Programs that the server itself starts.

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
