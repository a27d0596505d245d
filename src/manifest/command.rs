//! The command lines of the two containers. Their scripts are files; the values of a run are arguments.

use std::sync::LazyLock;

use super::LogPaths;
use super::env::double_dollars;
use super::names::optional_label_value;
use crate::config::{AgentDb, RunSpec};
use crate::ids::is_id;

const POD_SCRIPT: &str = include_str!("pod.sh");
const INIT_SCRIPT: &str = include_str!("init.sh");

/// Where the init container leaves the prompt.
const PROMPT_FILE: &str = "/tmp/prompt/prompt.txt";
/// Where the kubelet reads a container's termination message.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Arguments of opencode, as it receives them.
pub(crate) fn opencode_args(spec: &RunSpec) -> Vec<String> {
    let mut args: Vec<String> = ["run", "--format", "json"].map(str::to_owned).into();
    let session = spec.run.resume.session_id.as_deref().unwrap_or_default();
    for (flag, value) in [
        ("--session", session),
        ("--model", &spec.settings.model),
        ("--variant", &spec.settings.variant),
    ] {
        if !value.is_empty() {
            args.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    args.extend(spec.settings.extra_args.iter().cloned());
    args
}

/// The script of the agent's container as its command has it: each `$` doubled.
#[must_use]
pub fn pod_script() -> &'static str {
    static DOUBLED: LazyLock<String> = LazyLock::new(|| double_dollars(POD_SCRIPT));
    &DOUBLED
}

/// `sh -c SCRIPT` with the run's values and opencode's arguments, each `$` doubled against the kubelet's expansion.
pub(crate) fn pod_command(spec: &RunSpec, paths: &LogPaths, args: &[String]) -> Vec<String> {
    let members = start_record_members(spec);
    let prompt_bytes = spec.run.prompt().text.len().to_string();
    let limit = spec.settings.max_log_bytes.to_string();
    let own = [
        "paperclip",
        &spec.run.id,
        spec.namespace(),
        &members,
        paths.base(),
        PROMPT_FILE,
        &prompt_bytes,
        &limit,
        TERMINATION_LOG,
        spec.run.nonce.as_deref().unwrap_or_default(),
    ];
    let words = own.into_iter().chain(args.iter().map(String::as_str));
    ["sh", "-c", pod_script()]
        .into_iter()
        .map(str::to_owned)
        .chain(words.map(double_dollars))
        .collect()
}

/// Longest working directory in a start record, in bytes: the record is read with a limit.
const CWD_LIMIT: usize = 1_024;

/// Longest id of a task in a start record, in bytes.
const TASK_LIMIT: usize = 256;

/// What a record calls a task: its id as it is, because labels do not tell ids apart that differ in case only.
#[must_use]
pub fn task_word(id: Option<&str>) -> Option<String> {
    let label = optional_label_value(id)?;
    let id = id.filter(|id| id.len() <= TASK_LIMIT);
    Some(id.map_or(label, str::to_owned))
}

/// What the start record says of the run's work.
pub struct StartMembers<'a> {
    /// The task; as a label has it where its id is too long.
    pub task: Option<String>,
    /// The working directory, unless it is too long.
    pub cwd: Option<&'a str>,
}

/// What the start record of this run says of its work: it tells whose work the run was when its Job is gone.
#[must_use]
pub fn start_members(spec: &RunSpec) -> StartMembers<'_> {
    StartMembers {
        task: task_word(spec.run.task_id.as_deref()),
        cwd: Some(spec.run.working_dir.as_str()).filter(|cwd| cwd.len() <= CWD_LIMIT),
    }
}

/// Members of the start record that the pod does not know itself, as JSON without the braces.
fn start_record_members(spec: &RunSpec) -> String {
    let own = start_members(spec);
    let members = [
        ("cluster", Some(spec.run.cluster.as_str())),
        ("task", own.task.as_deref()),
        ("cwd", own.cwd),
    ];
    let keep = ("keep", spec.settings.log_retention_sec.into());
    let members = members
        .into_iter()
        .filter_map(|(key, value)| Some((key, serde_json::Value::from(value?))))
        .chain([keep]);
    let members = members.map(|(key, value)| format!("\"{key}\":{value}"));
    members.collect::<Vec<_>>().join(",")
}

/// The script of the init container as its command has it.
static DOUBLED_INIT_SCRIPT: LazyLock<String> = LazyLock::new(|| double_dollars(INIT_SCRIPT));

/// Makes the log folder and writes the prompt; then `init.sh` checks both.
pub(crate) fn init_command(spec: &RunSpec, paths: &LogPaths, from_secret: bool) -> Vec<String> {
    // Not doubled: Kubernetes only changes `$(` and `$$`, and neither is in here.
    let write = match from_secret {
        true => format!("cp /tmp/prompt-secret/prompt {PROMPT_FILE}"),
        false => format!("printf '%s' \"$PROMPT_CONTENT\" > {PROMPT_FILE}"),
    };
    let script = format!("mkdir -p {} && {write}\n{}", paths.dir, *DOUBLED_INIT_SCRIPT);
    let db_folder = match &spec.run.agent_db {
        AgentDb::File(path) => path.rsplit_once('/').map_or("", |(folder, _)| folder),
        _ => "",
    };
    let own = [
        "paperclip",
        paths.base(),
        spec.run.nonce.as_deref().unwrap_or_default(),
        db_folder,
    ];
    ["sh".to_owned(), "-c".to_owned(), script]
        .into_iter()
        .chain(own.map(double_dollars))
        .collect()
}

/// The nonce that an init container waits for whose command [`init_command`] made; none when it waits for none.
pub fn nonce_argument(command: &[String]) -> Option<&str> {
    command
        .get(5)
        .map(String::as_str)
        .filter(|nonce| !nonce.is_empty())
}

/// The task in a command that [`pod_command`] made; none where it has none.
pub fn task_argument(command: &[String]) -> Option<String> {
    let members = command.get(6)?.replace("$$", "$");
    let members: serde_json::Value = serde_json::from_str(&format!("{{{members}}}")).ok()?;
    members.get("task")?.as_str().map(str::to_owned)
}

/// The session that a container resumes whose command [`pod_command`] made; none where what stands there is no id.
pub fn session_argument(command: &[String]) -> Option<&str> {
    // After the 13 words of the pod's own come opencode's.
    let args = command.get(13..)?;
    let flag = args.iter().position(|word| word == "--session")?;
    args.get(flag + 1).map(String::as_str).filter(|id| is_id(id))
}
