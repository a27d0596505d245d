//! The files that go into a prompt.

use napi_derive::napi;

use super::server;
use crate::run::prompt_files;

/// Reads the files of one prompt. `requestJson`: `{dataRoot, instructions?, skills: [{key, source}]}`. Resolves with
/// `{instructions, skills: [text], warnings: [text]}` as JSON text, or with `{failure: AdapterExecutionResult}` when
/// the volume does not answer within 30 s. What cannot be read is a warning. Each file holds 256 KiB at most, all of
/// them 1 MiB, and there are 128 skills at most. Links below `dataRoot` are not followed. Never rejects.
#[napi]
pub async fn read_prompt_files(request_json: String) -> String {
    prompt_files::read(&server().volume, &request_json)
        .await
        .to_string()
}

/// Looks for skills. `requestJson`: `{dataRoot, folders: [path]}`. Resolves with
/// `{folder, skills: [name], others: [name]}` as JSON text: the first folder that can be read (or `null`), the folders
/// in it, and its other names; or with `{failure}` as `readPromptFiles`. Links below `dataRoot` are not followed.
/// Never rejects.
#[napi]
pub async fn list_skill_folders(request_json: String) -> String {
    prompt_files::list(&server().volume, &request_json)
        .await
        .to_string()
}
