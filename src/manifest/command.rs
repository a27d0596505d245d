//! The command lines of the two containers. The scripts are files; what varies is an argument.

use super::LogPaths;
use super::env::double_dollars;
use super::names::sanitize_label_value;
use crate::config::{AgentDb, RunSpec};
use crate::ids::is_id;

const POD_SCRIPT: &str = include_str!("pod.sh");
const INIT_SCRIPT: &str = include_str!("init.sh");

/// Where the init container leaves the prompt.
const PROMPT_FILE: &str = "/tmp/prompt/prompt.txt";
/// Where the kubelet reads the last words of a container.
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

/// `sh -c SCRIPT` with the run's own values and opencode's arguments, safe from the kubelet's expansion.
pub(crate) fn pod_command(spec: &RunSpec, paths: &LogPaths, args: &[String]) -> Vec<String> {
    let facts = start_facts(spec);
    let prompt_bytes = spec.run.prompt().text.len().to_string();
    let limit = spec.settings.max_log_bytes.to_string();
    let own = [
        "sh",
        "-c",
        POD_SCRIPT,
        "paperclip",
        &spec.run.id,
        spec.namespace(),
        &facts,
        paths.base(),
        PROMPT_FILE,
        &prompt_bytes,
        &limit,
        TERMINATION_LOG,
        spec.run.nonce.as_deref().unwrap_or_default(),
    ];
    own.into_iter()
        .chain(args.iter().map(String::as_str))
        .map(double_dollars)
        .collect()
}

/// A longer working directory is left out of the start record, which is read back with a limit.
const LONGEST_CWD: usize = 1_024;

/// What the start record says beside the pod: enough to tell whose work this was when the Job itself is gone.
fn start_facts(spec: &RunSpec) -> String {
    let task = spec
        .run
        .task_id
        .as_deref()
        .map(|task| sanitize_label_value(task).0);
    let cwd = Some(spec.run.working_dir.as_str()).filter(|cwd| cwd.len() <= LONGEST_CWD);
    let members = [
        ("cluster", Some(spec.run.cluster.as_str())),
        ("task", task.as_deref().filter(|task| !task.is_empty())),
        ("cwd", cwd),
    ];
    let members = members
        .into_iter()
        .filter_map(|(key, value)| Some(format!("\"{key}\":{}", serde_json::Value::from(value?))));
    members.collect::<Vec<_>>().join(",")
}

/// Makes the log folder and writes the prompt, then checks both with the init script.
pub(crate) fn init_command(spec: &RunSpec, paths: &LogPaths, from_secret: bool) -> Vec<String> {
    // Neither of these has a `$` that Kubernetes would touch: it only acts on `$(` and `$$`.
    let write = match from_secret {
        true => format!("cp /tmp/prompt-secret/prompt {PROMPT_FILE}"),
        false => format!("printf '%s' \"$PROMPT_CONTENT\" > {PROMPT_FILE}"),
    };
    let script = format!(
        "mkdir -p {} && {write}\n{}",
        paths.dir,
        double_dollars(INIT_SCRIPT)
    );
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

/// What an init container that [`init_command`] made waits for; none when it compares nothing.
pub fn nonce_argument(command: &[String]) -> Option<&str> {
    command
        .get(5)
        .map(String::as_str)
        .filter(|nonce| !nonce.is_empty())
}

/// The session that a container resumes whose command [`pod_command`] made; none where what stands there is no id.
pub fn session_argument(command: &[String]) -> Option<&str> {
    // Behind the pod's own arguments come those of opencode.
    let args = command.get(13..)?;
    let flag = args.iter().position(|word| word == "--session")?;
    args.get(flag + 1).map(String::as_str).filter(|id| is_id(id))
}
