//! Whether this server can make the files of a run on the shared volume.

use std::path::{Path, PathBuf};

use super::{Check, Level};
use crate::tail::source::{Ownership, RunFiles};

pub(super) fn check(data_root: &str) -> Option<Check> {
    let root = Path::new(data_root);
    // A company of this name cannot exist: ids have no underscore.
    let name = format!("{}.probe", std::process::id());
    let log: PathBuf = root.join("instances/default/run-logs").join(&name);
    let files = RunFiles::new(root, &log)?;
    let made = files.prepare(Ownership::default(), &[(&name, b"")]);
    files.remove([name.as_str()]);
    let folder = log.parent().unwrap_or(root).display();
    Some(match made {
        Ok(prepared) if prepared.by_server => Check::new(
            Level::Info,
            "k8s_log_root_writable",
            format!("{folder} is writable here"),
            None,
        ),
        Ok(_) => Check::new(
            Level::Warn,
            "k8s_log_root_writable",
            format!("root is squashed at {folder}: the pods make their log files themselves"),
            None,
        ),
        Err(error) => Check::new(
            Level::Error,
            "k8s_log_root_not_writable",
            error.to_string(),
            Some(
                "Mount the shared claim at /paperclip in the server's pod, or set dataRoot to where it is mounted",
            ),
        ),
    })
}
