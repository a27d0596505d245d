//! Checks the shared volume as this server sees it: whether the files of a run can be made, and what kind it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::commands::Commands;
use super::{Check, Level};
use crate::config::AgentDbMode;
use crate::manifest::RUN_LOGS;
use crate::run::volume::blocking::Volume;
use crate::tail::source::{Freshness, Ownership, RunFiles, freshness_at};

/// How long the volume may take: a network volume that is away never answers.
const VOLUME_LIMIT: Duration = Duration::from_secs(5);
const NOT_WRITABLE: &str = "k8s_log_root_not_writable";

pub(super) async fn check(
    volume: &Volume,
    data_root: &str,
    owner: Ownership,
    database: Option<AgentDbMode>,
    commands: &Commands,
) -> Vec<Check> {
    let root = PathBuf::from(data_root);
    let look = commands.in_server(&format!(
        "id; grep {data_root} /proc/mounts; ls -ldn {data_root}/*"
    ));
    let seen = volume.within(VOLUME_LIMIT, {
        let root = root.clone();
        let look = look.clone();
        move || (is_writable(&root, owner, &look), freshness_at(&root).ok())
    });
    let Some((writable, freshness)) = seen.await else {
        let message = format!(
            "The shared volume at {} did not answer within {} s.",
            root.display(),
            VOLUME_LIMIT.as_secs()
        );
        let hint = format!("Look at the volume's server and at the node's mount: {look}");
        return vec![Check::new(Level::Error, NOT_WRITABLE, message, Some(&hint))];
    };
    let slow_locks = freshness == Some(Freshness::Cached) && database == Some(AgentDbMode::WorkspaceSubpath);
    [Some(writable), slow_locks.then(|| sqlite_on_network(&root))]
        .into_iter()
        .flatten()
        .collect()
}

fn is_writable(root: &Path, owner: Ownership, look: &str) -> Check {
    let hint = format!(
        "Mount the shared claim at /paperclip in the server's pod, or set `dataRoot` (or PAPERCLIP_K8S_DATA_ROOT) to \
         where it is mounted. The server must run as root, as 1000, or in group 1000. See what it has: {look}"
    );
    let refused = |message: String| Check::new(Level::Error, NOT_WRITABLE, message, Some(&hint));
    // No run has this name: ids have no dot.
    let name = format!("{}.probe", std::process::id());
    let log: PathBuf = root.join(RUN_LOGS).join(&name);
    let Some(files) = RunFiles::new(root, &log) else {
        return refused(format!("{} is no plain absolute path.", root.display()));
    };
    files.remove([name.as_str()]);
    let made = files.prepare(owner, &[(&name, b"")]);
    files.remove([name.as_str()]);
    let folder = log.parent().unwrap_or(root).display();
    match made {
        Ok(prepared) if prepared.by_server => {
            let message = format!("The server can write its log files in {folder}.");
            Check::new(Level::Info, "k8s_log_root_writable", message, None)
        }
        Ok(_) => {
            let message = format!("Root is squashed at {folder}: the pods make their log files themselves.");
            let hint = "Runs work, but nobody checks that both see the same volume, and the four files of each run stay \
                        there until somebody removes them. Export it without root_squash, or run the server as uid 1000.";
            Check::new(Level::Warn, "k8s_log_root_writable", message, Some(hint))
        }
        Err(error) => refused(format!("The server cannot write its log files: {error}")),
    }
}

fn sqlite_on_network(root: &Path) -> Check {
    let message = format!(
        "{} is on NFS, SMB or FUSE, and opencode's sqlite database lies there: it needs locks that work across machines.",
        root.display()
    );
    let hint = "Prefer agentDbMode dedicated_pvc with agentDbStorageClass, or ephemeral (sessions then end with their run).";
    Check::new(Level::Warn, "k8s_agent_db_on_network_volume", message, Some(hint))
}
