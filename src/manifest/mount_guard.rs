//! Where nothing else may be mounted: the paths that a run depends on. Pure.

use k8s_openapi::api::core::v1::PodSpec;

use super::env::DB_MOUNT;
use super::names::OPENCODE_CONTAINER;
use super::paths::POD_ROOT;
use super::{LogPaths, ManifestError};
use crate::config::{AgentDb, RunSpec};

/// Volumes of the run itself.
pub(crate) const VOLUMES: [&str; 4] = ["data", "prompt", "prompt-secret", "opencode-db"];

/// The paths of one run.
pub(crate) struct MountGuard {
    /// Nothing may be mounted over or inside them.
    closed: Vec<String>,
    /// Nothing may be mounted over them; inside there is place for caches and files.
    kept: Vec<String>,
    /// The server's mount that holds the workspace, where that is not on the shared volume: it has to be mounted.
    of_workspace: Option<String>,
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
            of_workspace: of_workspace(spec).map(str::to_owned),
        }
    }

    /// Whether a mount at this path would hide what the run depends on.
    pub(crate) fn is_hidden_by(&self, mount_path: &str) -> bool {
        let mount = parts(mount_path);
        let covers = |path: &String| parts(path).starts_with(&mount);
        let is_inside = |path: &String| mount.starts_with(&parts(path));
        let is_needed = self
            .of_workspace
            .as_deref()
            .is_some_and(|path| parts(path) == mount);
        let is_over_kept = !is_needed && self.kept.iter().any(covers);
        is_over_kept || self.closed.iter().any(|path| covers(path) || is_inside(path))
    }
}

/// The server's innermost mount around the working directory, if it is not that of the shared volume.
fn of_workspace(spec: &RunSpec) -> Option<&str> {
    let folder = parts(&spec.run.working_dir);
    let around = spec
        .own_pod
        .mounts
        .iter()
        .filter(|path| folder.starts_with(&parts(path)));
    let innermost = around.max_by_key(|path| parts(path).len())?;
    (!parts(POD_ROOT).starts_with(&parts(innermost))).then_some(innermost)
}

/// Refuses a run whose workspace the server has on a volume that the pod does not mount there: at its path the agent
/// would find an empty folder, work in it, and nobody would see what it did.
///
/// # Errors
/// Names the workspace and the mount.
pub(crate) fn check_workspace(spec: &RunSpec, pod: &PodSpec) -> Result<(), ManifestError> {
    let Some(path) = of_workspace(spec) else {
        return Ok(());
    };
    let folder = parts(&spec.run.working_dir);
    let agent = pod
        .containers
        .iter()
        .find(|container| container.name == OPENCODE_CONTAINER);
    let mut mounts = agent
        .iter()
        .flat_map(|agent| agent.volume_mounts.iter().flatten());
    let is_there = mounts.any(|mount| {
        let mounted = parts(&mount.mount_path);
        let is_around = folder.starts_with(&mounted) && mounted.starts_with(&parts(path));
        is_around && !VOLUMES.contains(&mount.name.as_str())
    });
    match is_there {
        true => Ok(()),
        false => Err(ManifestError::WorkspaceElsewhere {
            folder: spec.run.working_dir.clone(),
            mount: path.to_owned(),
        }),
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
            of_workspace: None,
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
