//! The files that go into a prompt.

use napi_derive::napi;

use super::server;
use crate::run::prompt_files;

/// Reads the files of one prompt. What cannot be read is a warning. Each file holds 256 KiB at most, all of them 1 MiB,
/// and there are 128 skills at most. Links below `dataRoot` are not followed. Resolves with a `failure` when the volume
/// does not answer within 30 s.
#[napi(
    ts_args_type = "request: PromptFilesRequest",
    ts_return_type = "Promise<PromptFiles | { failure: RunResult }>"
)]
pub async fn read_prompt_files(request_json: String) -> String {
    prompt_files::read(&server().volume, &request_json)
        .await
        .to_string()
}

/// Looks for skills in the first of `folders` that can be read. Links below `dataRoot` are not followed. Resolves with
/// a `failure` as `readPromptFiles`.
#[napi(
    ts_args_type = "\n  request: { dataRoot: string; serverDataRoot?: string | undefined; folders: string[] }\n",
    ts_return_type = "Promise<SkillFolder | { failure: RunResult }>"
)]
pub async fn list_skill_folders(request_json: String) -> String {
    prompt_files::list(&server().volume, &request_json)
        .await
        .to_string()
}
