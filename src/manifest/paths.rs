//! Where a run's files are on the shared volume: the only place that spells their names.

pub use crate::config::POD_ROOT;
use crate::ids::{InvalidId, check_ids};

/// The folder of all run logs, below the root of the volume.
pub const RUN_LOGS: &str = "instances/default/run-logs";
/// How the name of a run's log ends.
pub const LOG_END: &str = ".pod.ndjson";
/// How the name of a run's start record ends.
pub const STARTED_END: &str = ".pod.started";
/// How the name of a run's nonce file ends.
pub const NONCE_END: &str = ".pod.nonce";
const STDERR_END: &str = ".pod.stderr.log";
const RECORD_END: &str = ".pod.end.json";
const HOLDER_END: &str = ".pod.holder";
const USAGE_END: &str = ".pod.usage";
/// How the names of a run's other files end.
pub const OTHER_ENDS: [&str; 5] = [NONCE_END, STDERR_END, RECORD_END, HOLDER_END, USAGE_END];

/// The log of a run, as the pod sees it.
pub fn pod_log_path(company_id: &str, agent_id: &str, run_id: &str) -> Result<String, InvalidId> {
    Ok(LogPaths::new(company_id, agent_id, run_id)?.log)
}

/// The files of one run as the pod sees them: absolute paths in the folder of its agent. For each file see
/// [`FileNames`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPaths {
    /// The folder of the agent's runs.
    pub dir: String,
    /// opencode's stdout.
    pub log: String,
    /// opencode's stderr.
    pub stderr: String,
    /// The start record.
    pub started: String,
    /// The end record.
    pub end: String,
    /// The nonce file.
    pub nonce: String,
    /// The names of all files.
    pub names: FileNames,
}

impl LogPaths {
    /// The paths of a run.
    ///
    /// # Errors
    /// An id that cannot be part of a path.
    pub fn new(company_id: &str, agent_id: &str, run_id: &str) -> Result<Self, InvalidId> {
        check_ids(company_id, agent_id, run_id)?;
        let dir = format!("{POD_ROOT}/{RUN_LOGS}/{company_id}/{agent_id}");
        let names = FileNames::of_run(run_id);
        let path = |name: &str| format!("{dir}/{name}");
        Ok(LogPaths {
            log: path(&names.log),
            stderr: path(&names.stderr),
            started: path(&names.started),
            end: path(&names.end),
            nonce: path(&names.nonce),
            names,
            dir,
        })
    }

    /// What the paths of all files of the run start with.
    pub(crate) fn base(&self) -> &str {
        self.log.trim_end_matches(".ndjson")
    }
}

/// The names of a run's files, all in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNames {
    /// opencode's stdout.
    pub log: String,
    /// opencode's stderr.
    pub stderr: String,
    /// The start record: the first pod of the Job makes it, and only that pod starts opencode.
    pub started: String,
    /// The end record.
    pub end: String,
    /// The end record while it is written. Stays when the container is killed at that moment.
    pub draft: String,
    /// The nonce, which opens the pod's gate: the init container waits for it. While it is there, nobody has harvested
    /// the run.
    pub nonce: String,
    /// Which server took the Job over from the one that made it.
    pub holder: String,
    /// The usage that a result has reported, while another result may report it as well.
    pub usage: String,
    /// Another usage note while it is written. Stays when the server dies at that moment.
    pub usage_draft: String,
}

impl FileNames {
    /// The names of the files of this run.
    #[must_use]
    pub fn of_run(run_id: &str) -> Self {
        let name = |end: &str| format!("{run_id}{end}");
        Self {
            log: name(LOG_END),
            stderr: name(STDERR_END),
            started: name(STARTED_END),
            end: name(RECORD_END),
            draft: format!(".{run_id}.pod.end"),
            nonce: name(NONCE_END),
            holder: name(HOLDER_END),
            usage: name(USAGE_END),
            usage_draft: format!(".{run_id}{USAGE_END}"),
        }
    }

    /// All of them in the order of removal. The nonce goes first: without it the run counts as harvested, and a pod
    /// that finds no start record looks for the nonce before it starts opencode.
    #[must_use]
    pub fn all(&self) -> [&str; 9] {
        [
            &self.nonce,
            &self.log,
            &self.stderr,
            &self.started,
            &self.end,
            &self.draft,
            &self.holder,
            &self.usage,
            &self.usage_draft,
        ]
    }
}

/// The last component of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A path of the pod as a server sees it that mounts the volume at `data_root`. A path outside the volume stays.
pub fn on_server(pod_path: &str, data_root: &str) -> String {
    match pod_path.strip_prefix(POD_ROOT) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", data_root.trim_end_matches('/'))
        }
        _ => pod_path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_lies_where_the_contract_says() {
        let path = pod_log_path("c-1", "a", "R2").expect("valid");
        assert_eq!(path, "/paperclip/instances/default/run-logs/c-1/a/R2.pod.ndjson");
        let message = pod_log_path("c", "a/b", "r").expect_err("refused").to_string();
        assert_eq!(message, "Invalid agentId for log path: a/b");
    }

    #[test]
    fn the_server_may_see_the_volume_elsewhere() {
        let paths = LogPaths::new("c", "a", "r").expect("valid");
        assert_eq!(paths.base(), "/paperclip/instances/default/run-logs/c/a/r.pod");
        assert_eq!(on_server(&paths.end, POD_ROOT), paths.end);
        assert_eq!(
            on_server(&paths.end, "/data/"),
            "/data/instances/default/run-logs/c/a/r.pod.end.json"
        );
        assert_eq!(on_server("/paperclips/x", "/data"), "/paperclips/x");
        assert_eq!(on_server("/paperclip", "/data"), "/data");
    }
}
