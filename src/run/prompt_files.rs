//! The files of a prompt: the agent's instructions and its skills. They lie where agents can write, so that each file,
//! their number, their sum and the time for all of them have a bound.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::failure::{Failure, INVALID_REQUEST, SHARED_VOLUME_MISSING};
use super::timing::VOLUME;
use super::volume::blocking::Volume;
use crate::run::request::Environment;
use crate::tail::source::{Ownership, SourceError, names_in, read_text, read_text_of};

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 256 << 10;
/// Largest sum of all files of a prompt, in bytes: a prompt that is larger fits into no Secret.
pub const MAX_SUM_BYTES: usize = 1 << 20;
/// Most skills of a prompt.
pub const MAX_SKILLS: usize = 128;
/// Most names that are taken from a folder of skills.
const MAX_NAMES: usize = 1_000;
/// The file of a skill that is a folder.
const SKILL_FILE: &str = "SKILL.md";

/// What is to be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    data_root: PathBuf,
    /// What the server's environment says, whatever the agent's settings say.
    #[serde(default)]
    server_data_root: Option<PathBuf>,
    #[serde(default)]
    instructions: Option<PathBuf>,
    #[serde(default)]
    skills: Vec<Skill>,
    /// `PAPERCLIP_K8S_VOLUME_OWNER`.
    #[serde(default)]
    volume_owner: Option<String>,
    /// The agent's setting of this name.
    #[serde(default)]
    run_as_user: Option<Value>,
}

impl Wanted {
    /// Whose files pods write: only what they may read themselves may become a part of a prompt.
    fn pods(&self) -> Result<Ownership, Failure> {
        let here = Ownership::of_this_process();
        let uid = match &self.run_as_user {
            Some(Value::Number(uid)) => uid.as_u64().and_then(|uid| u32::try_from(uid).ok()),
            Some(Value::String(uid)) if uid.trim() == "none" => Some(here.uid),
            Some(Value::String(uid)) => uid.trim().parse().ok(),
            _ => None,
        };
        let environment = Environment {
            volume_owner: self.volume_owner.clone(),
            ..Environment::default()
        };
        let usual = Ownership::default();
        environment.owner(Ownership {
            uid: uid.unwrap_or(usual.uid),
            gid: usual.gid,
        })
    }
}

#[derive(Deserialize)]
struct Skill {
    key: String,
    source: PathBuf,
}

/// Which folder of skills there is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidates {
    data_root: PathBuf,
    #[serde(default)]
    server_data_root: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

/// Reads the files of one prompt: `{dataRoot, serverDataRoot?, instructions?, skills: [{key, source}]}` as JSON text.
///
/// Gives `{instructions, skills: [text], warnings}`: what cannot be read is a warning and left out. Gives
/// `{failure: AdapterExecutionResult}` when the volume does not answer within 30 s.
pub async fn read(volume: &Volume, request_json: &str) -> Value {
    match serde_json::from_str(request_json) {
        Ok(wanted) => or_failure(read_wanted(volume, wanted).await),
        Err(error) => or_failure(Err(bad_request(&error))),
    }
}

/// Looks for skills: `{dataRoot, serverDataRoot?, folders}` as JSON text.
///
/// Gives `{folder, skills, others}` of the first folder that can be read: the names of the folders in it, and all other
/// names; `folder` is `null` when there is none. Gives `{failure}` as [`read`].
pub async fn list(volume: &Volume, request_json: &str) -> Value {
    match serde_json::from_str(request_json) {
        Ok(candidates) => or_failure(list_first(volume, candidates).await),
        Err(error) => or_failure(Err(bad_request(&error))),
    }
}

async fn read_wanted(volume: &Volume, wanted: Wanted) -> Result<Value, Failure> {
    let pods = wanted.pods()?;
    let mut files = Files::new(volume, wanted.data_root, wanted.server_data_root);
    let mut warnings = Vec::new();
    let mut instructions = String::new();
    if let Some(path) = wanted.instructions {
        let read = move |roots: &[PathBuf], path: &Path, limit| read_text(roots, path, limit, pods);
        match files.read(&path, read).await? {
            Ok(text) => instructions = text,
            Err(why) => warnings.push(warning(&format!(
                "instructionsFilePath not readable: {}: {why}",
                path.display()
            ))),
        }
    }
    let mut skills = Vec::new();
    let left_out = wanted.skills.len().saturating_sub(MAX_SKILLS);
    for Skill { key, source } in wanted.skills.into_iter().take(MAX_SKILLS) {
        let read =
            move |roots: &[PathBuf], path: &Path, limit| read_text_of(roots, path, SKILL_FILE, limit, pods);
        match files.read(&source, read).await? {
            Ok(text) => skills.push(text),
            Err(why) => warnings.push(warning(&format!(
                "skill {key} not readable: {}: {why}",
                source.display()
            ))),
        }
    }
    if left_out > 0 {
        warnings.push(warning(&format!(
            "{left_out} skills left out: a prompt takes {MAX_SKILLS} at most"
        )));
    }
    Ok(json!({ "instructions": instructions, "skills": skills, "warnings": warnings }))
}

async fn list_first(volume: &Volume, candidates: Candidates) -> Result<Value, Failure> {
    let files = Files::new(volume, candidates.data_root, candidates.server_data_root);
    for folder in candidates.folders {
        let listed = files.ask(&folder, |roots, path| names_in(roots, path, MAX_NAMES));
        if let Ok((skills, others)) = listed.await? {
            return Ok(json!({ "folder": folder, "skills": skills, "others": others }));
        }
    }
    Ok(json!({ "folder": null, "skills": [], "others": [] }))
}

/// Reads one file after the other, within what is left of the time and of the sum.
struct Files<'a> {
    volume: &'a Volume,
    data_roots: Vec<PathBuf>,
    until: Instant,
    room: usize,
}

impl<'a> Files<'a> {
    fn new(volume: &'a Volume, configured: PathBuf, of_server: Option<PathBuf>) -> Self {
        Self {
            volume,
            data_roots: [Some(configured), of_server].into_iter().flatten().collect(),
            until: Instant::now() + VOLUME.calm,
            room: MAX_SUM_BYTES,
        }
    }

    async fn read(
        &mut self,
        path: &Path,
        read: impl FnOnce(&[PathBuf], &Path, usize) -> Result<String, SourceError> + Send + 'static,
    ) -> Result<Result<String, String>, Failure> {
        let text = self
            .ask(path, |roots, path| read(roots, path, MAX_FILE_BYTES))
            .await?;
        Ok(match text {
            Ok(text) if text.len() > self.room => Err(format!(
                "all files of a prompt hold {} KiB at most",
                MAX_SUM_BYTES >> 10
            )),
            Ok(text) => {
                self.room -= text.len();
                Ok(text)
            }
            Err(error) => Err(error.to_string()),
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&[PathBuf], &Path) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (roots, asked) = (self.data_roots.clone(), path.to_owned());
        let left = self.until.saturating_duration_since(Instant::now());
        let answer = self.volume.within(left, move || work(&roots, &asked)).await;
        answer.ok_or_else(|| unanswered(path))
    }
}

/// Paths and keys of skills are texts of others: in a warning they stay on its line, and turn no words of ours.
fn warning(text: &str) -> String {
    let breaks_or_turns = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let on_one_line: String = text
        .chars()
        .map(|c| {
            if c.is_control() || breaks_or_turns(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    format!("Warning: {on_one_line}")
}

fn unanswered(path: &Path) -> Failure {
    let message = format!(
        "Shared volume is silent: it did not answer within {} s at {}. Look at its mount on the server's node; \
         nothing was created",
        VOLUME.calm.as_secs(),
        path.display()
    );
    Failure::before_start(SHARED_VOLUME_MISSING, message)
}

fn bad_request(error: &serde_json::Error) -> Failure {
    Failure::of_input(INVALID_REQUEST, format!("files of the prompt: {error}"))
}

fn or_failure(answer: Result<Value, Failure>) -> Value {
    answer.unwrap_or_else(|failure| json!({ "failure": failure.to_value() }))
}
