//! Where a run's files lie on the shared volume.

pub use crate::config::POD_ROOT;
use crate::ids::{InvalidId, check_ids};

/// The folder of all run logs, below the root of the volume.
pub const RUN_LOGS: &str = "instances/default/run-logs";

/// The log of a run, as the pod sees it.
pub fn pod_log_path(company_id: &str, agent_id: &str, run_id: &str) -> Result<String, InvalidId> {
    Ok(LogPaths::new(company_id, agent_id, run_id)?.log)
}

/// The files of one run: absolute paths, side by side in one folder per agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPaths {
    /// The folder of the agent's runs.
    pub dir: String,
    /// opencode's stdout.
    pub log: String,
    /// opencode's stderr.
    pub stderr: String,
    /// Taken by the first pod of the Job.
    pub started: String,
    /// The end record.
    pub end: String,
    /// Written by the server, compared by the init container.
    pub nonce: String,
}

impl LogPaths {
    /// The paths as the pod sees them.
    pub fn new(company_id: &str, agent_id: &str, run_id: &str) -> Result<Self, InvalidId> {
        check_ids(company_id, agent_id, run_id)?;
        let dir = format!("{POD_ROOT}/{RUN_LOGS}/{company_id}/{agent_id}");
        let file = |end: &str| format!("{dir}/{run_id}.pod.{end}");
        Ok(LogPaths {
            log: file("ndjson"),
            stderr: file("stderr.log"),
            started: file("started"),
            end: file("end.json"),
            nonce: file("nonce"),
            dir,
        })
    }

    /// The names of the run's files.
    #[must_use]
    pub fn file_names(&self) -> FileNames {
        FileNames::of_base(last_component(self.base()))
    }

    /// What all files of the run start with.
    pub(crate) fn base(&self) -> &str {
        self.log.trim_end_matches(".ndjson")
    }
}

/// The names of a run's files, beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNames {
    /// opencode's stdout.
    pub log: String,
    /// opencode's stderr.
    pub stderr: String,
    /// Taken by the first pod.
    pub started: String,
    /// The end record.
    pub end: String,
    /// The end record while it is written: stays when the container is killed at that moment.
    pub draft: String,
    /// What the init container compares. While it is there, nobody has harvested the run.
    pub nonce: String,
    /// Who took the Job over from the server that made it.
    pub holder: String,
    /// What was told of its usage while somebody else may tell it as well.
    pub usage: String,
}

/// The last component of a path.
pub(crate) fn last_component(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl FileNames {
    /// The files beside each other that start with `base`: `<runId>.pod`.
    #[must_use]
    pub fn of_base(base: &str) -> Self {
        let file = |end: &str| format!("{base}.{end}");
        Self {
            log: file("ndjson"),
            stderr: file("stderr.log"),
            started: file("started"),
            end: file("end.json"),
            draft: format!(".{base}.end"),
            nonce: file("nonce"),
            holder: file("holder"),
            usage: file("usage"),
        }
    }

    /// All of them in the order of removal. The nonce first: it tells an end that nobody heard, and a pod that finds the
    /// start record gone looks whether it is there.
    pub fn all(&self) -> [&str; 8] {
        [
            &self.nonce,
            &self.log,
            &self.stderr,
            &self.started,
            &self.end,
            &self.draft,
            &self.holder,
            &self.usage,
        ]
    }
}

/// A path of the pod as the server sees it; a path outside the volume stays as it is.
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
