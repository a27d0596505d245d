//! Where nothing else may be mounted: the paths that a run depends on. Pure.

use super::LogPaths;
use super::env::DB_MOUNT;
use super::paths::POD_ROOT;
use crate::config::{AgentDb, RunSpec};

/// Volumes of the run itself.
pub(crate) const VOLUMES: [&str; 4] = ["data", "prompt", "prompt-secret", "opencode-db"];

/// The paths of one run.
pub(crate) struct MountGuard {
    /// Nothing may be mounted over or inside them.
    closed: Vec<String>,
    /// Nothing may be mounted over them; inside there is place for caches and files.
    kept: Vec<String>,
}

impl MountGuard {
    /// The paths of this run.
    pub(crate) fn of(spec: &RunSpec, paths: &LogPaths) -> Self {
        let mut closed = [
            "/tmp/prompt",
            "/tmp/prompt-secret",
            "/dev/termination-log",
            DB_MOUNT,
        ]
        .map(str::to_owned)
        .to_vec();
        closed.push(paths.dir.clone());
        if let AgentDb::File(path) = &spec.run.agent_db
            && let Some((folder, _)) = path.rsplit_once('/')
        {
            closed.push(folder.to_owned());
        }
        Self {
            closed,
            kept: vec![POD_ROOT.to_owned(), spec.run.working_dir.clone()],
        }
    }

    /// Whether a mount at this path would hide what the run depends on.
    pub(crate) fn is_hidden_by(&self, mount_path: &str) -> bool {
        let mount = parts(mount_path);
        let covers = |path: &String| parts(path).starts_with(&mount);
        let is_inside = |path: &String| mount.starts_with(&parts(path));
        self.closed.iter().any(|path| covers(path) || is_inside(path)) || self.kept.iter().any(covers)
    }
}

/// The names on a path, as the kernel goes it: `/a//b/../c/` is `/a/c`.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_may_not_hide_what_the_run_depends_on_however_it_is_written() {
        let guard = MountGuard {
            closed: vec!["/tmp/prompt".to_owned(), "/paperclip/logs/c/a".to_owned()],
            kept: vec!["/paperclip".to_owned(), "/paperclip/work".to_owned()],
        };
        for path in [
            "/",
            "/paperclip/",
            "/tmp",
            "/tmp//prompt",
            "/tmp/prompt/x",
            "/paperclip/logs",
            "/paperclip/logs/c/a/x",
            "/x/../paperclip/./work",
        ] {
            assert!(guard.is_hidden_by(path), "{path}");
        }
        for path in [
            "/tmp/x",
            "/tmp/prompts",
            "/paperclip/work/node_modules",
            "/etc/ca",
        ] {
            assert!(!guard.is_hidden_by(path), "{path}");
        }
    }
}
