//! Which folders of the shared volume a pod sees whose agent is to see only its own: its log folder, its workspace, its
//! database, and a HOME that it shares with its company's agents. Pure.

use super::own_folders::may_be_own;
use super::paths::POD_ROOT;
use super::{LogPaths, ManifestError};
use crate::config::{AgentDb, Json as _, RunSpec, VolumeAccess};

/// The folder of the companies' HOMEs, below the root of the volume.
const HOMES: &str = "instances/default/agent-homes";

/// A folder of the volume, and where the pod sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Absolute, in the pod.
    pub(crate) path: String,
    /// Below the root of the volume.
    pub(crate) folder: String,
}

/// What the pod sees, HOME first; none for all of the volume.
pub(crate) fn parts(spec: &RunSpec, paths: &LogPaths) -> Option<Vec<Part>> {
    if spec.settings.volume_access == VolumeAccess::All {
        return None;
    }
    let home = Part {
        path: POD_ROOT.to_owned(),
        folder: format!("{HOMES}/{}", spec.run.company_id),
    };
    let mut parts = vec![home];
    for (_, path) in wanted(spec, paths) {
        if let Some(folder) = below_root(path)
            && parts.iter().all(|known| known.path != path)
        {
            parts.push(Part {
                path: path.to_owned(),
                folder: folder.to_owned(),
            });
        }
    }
    Some(parts)
}

/// Refuses a folder that is not one agent's own: whoever may name a run's workspace could see the whole volume by it.
///
/// # Errors
/// Names the setting and its folder.
pub(crate) fn check(spec: &RunSpec, paths: &LogPaths) -> Result<(), ManifestError> {
    if spec.settings.volume_access == VolumeAccess::All {
        return Ok(());
    }
    match wanted(spec, paths)
        .into_iter()
        .find(|(_, path)| below_root(path).is_some_and(|folder| !may_be_own(folder, &spec.run)))
    {
        None => Ok(()),
        Some((field, path)) => Err(ManifestError::NotOwnFolder {
            field,
            path: path.to_owned(),
        }),
    }
}

/// The folders beside HOME, and the setting that names each.
fn wanted<'a>(spec: &'a RunSpec, paths: &'a LogPaths) -> Vec<(&'static str, &'a str)> {
    let database = match &spec.run.agent_db {
        AgentDb::File(path) => path.rsplit_once('/').map(|(folder, _)| folder),
        _ => None,
    };
    let workspace = spec.run.context.member("paperclipWorkspace");
    let agent_home = match spec.settings.bundle_root.as_deref() {
        Some(folder) => Some(("instructionsRootPath", folder)),
        None => workspace
            .and_then(|workspace| workspace.trimmed("agentHome"))
            .map(|folder| ("agentHome", folder)),
    };
    let folders = [
        Some(("logs", paths.dir.as_str())),
        Some(("cwd", spec.run.working_dir.as_str())),
        database.map(|folder| ("agentDbPath", folder)),
        agent_home,
    ];
    let folders = folders.into_iter().flatten();
    folders
        .map(|(field, path)| (field, path.trim_end_matches('/')))
        .collect()
}

fn below_root(path: &str) -> Option<&str> {
    path.strip_prefix(POD_ROOT)?.strip_prefix('/')
}

/// Folders that must be there before the Job is: a kubelet would make them as root. Absolute, as a pod with all of the
/// volume sees them; none where a pod sees all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoldersToMake {
    /// What the pod is to see.
    pub shown: Vec<String>,
    /// In the pod's HOME, where the others are mounted.
    pub mount_points: Vec<String>,
}

/// The folders that a server makes for this run.
pub fn folders_to_make(spec: &RunSpec, paths: &LogPaths) -> FoldersToMake {
    let parts = parts(spec, paths).unwrap_or_default();
    let home = parts.first().map(|home| home.folder.clone()).unwrap_or_default();
    let in_pod = |folder: &str| format!("{POD_ROOT}/{folder}");
    let others = parts.iter().skip(1);
    FoldersToMake {
        shown: parts.iter().map(|part| in_pod(&part.folder)).collect(),
        mount_points: others
            .map(|part| in_pod(&format!("{home}/{}", part.folder)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RenderRequest;
    use crate::manifest;
    use serde_json::{Value, json};

    const DATABASE: &str = "/paperclip/instances/default/opencode-db/c/a/t/opencode.db";

    fn spec(access: &str, cwd: &str) -> RunSpec {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "prompt": "p",
            "config": {"volumeAccess": access}, "agentDbPath": DATABASE,
            "context": {"paperclipWorkspace": {"cwd": cwd, "agentHome": "/paperclip/agents/a/"}},
            "selfPod": {"namespace": "n", "image": "i", "pvcClaimName": "data", "dataSubPath": "prod"}});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        RunSpec::from_request(request).expect("a spec")
    }

    fn rendered(access: &str, cwd: &str) -> (Value, FoldersToMake) {
        let spec = spec(access, cwd);
        let made = manifest::render(&spec).expect("a manifest");
        let folders = folders_to_make(&spec, &made.paths);
        let job = serde_json::to_value(&made.job).expect("JSON");
        (job["spec"]["template"]["spec"].clone(), folders)
    }

    fn data_mounts(container: &Value) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mounts = container["volumeMounts"].as_array().expect("a list").iter();
        let of_data = mounts.filter(|mount| mount["name"] == "data");
        of_data
            .map(|mount| (text(&mount["mountPath"]), text(&mount["subPath"])))
            .collect()
    }

    #[test]
    fn a_narrow_pod_sees_its_own_folders_and_its_companys_home() {
        let (pod, folders) = rendered("own", "/paperclip/work/p");
        let mount = |path: &str, folder: &str| (path.to_owned(), format!("prod/{folder}"));
        let logs = "instances/default/run-logs/c/a";
        let database = "instances/default/opencode-db/c/a/t";
        let wanted = vec![
            mount("/paperclip", "instances/default/agent-homes/c"),
            mount(&format!("/paperclip/{logs}"), logs),
            mount("/paperclip/work/p", "work/p"),
            mount(&format!("/paperclip/{database}"), database),
            mount("/paperclip/agents/a", "agents/a"),
        ];
        assert_eq!(data_mounts(&pod["containers"][0]), wanted);
        assert_eq!(data_mounts(&pod["initContainers"][0]), wanted);
        assert!(
            folders
                .mount_points
                .contains(&format!("/paperclip/instances/default/agent-homes/c/{logs}"))
        );
        assert!(folders.shown.contains(&format!("/paperclip/{database}")));
        assert_eq!((folders.shown.len(), folders.mount_points.len()), (5, 4));
    }

    #[test]
    fn a_path_outside_the_volume_is_no_part_of_it() {
        for cwd in [
            "/paperclip",
            "/paperclip/",
            "/work",
            "/paperclips/x",
            "//paperclip/instances",
        ] {
            let (pod, _) = rendered("own", cwd);
            assert_eq!(data_mounts(&pod["containers"][0]).len(), 4, "{cwd}");
        }
    }

    #[test]
    fn a_workspace_that_holds_folders_of_others_or_is_no_agents_is_refused() {
        let refused = |folder: &str| {
            let cwd = format!("/paperclip/{folder}");
            match manifest::render(&spec("own", &cwd)) {
                Err(error) => assert!(
                    error
                        .to_string()
                        .contains(&format!("cwd {} ", cwd.trim_end_matches('/'))),
                    "{error}"
                ),
                Ok(_) => panic!("{cwd} is mounted"),
            }
            assert!(manifest::render(&spec("all", &cwd)).is_ok(), "{cwd}");
        };
        let of_volume = [
            "instances",
            "instances/",
            "instances/default",
            ".config/opencode",
            ".ssh",
            "adapter-plugins/x",
        ];
        let unclear = [
            "../etc",
            "work/../instances",
            "work/./p",
            "work//p",
            ".paperclip",
            ".paperclip/instances/default",
        ];
        of_volume.into_iter().chain(unclear).for_each(refused);
        let of_instance = [
            // All agents' or companies' folders.
            "run-logs",
            "run-logs/c",
            "opencode-db",
            "opencode-db/c",
            "agent-homes",
            "workspaces",
            "projects",
            "projects/c",
            "companies",
            "companies/c",
            "companies/c/agents",
            // Those of others.
            "run-logs/c/b",
            "run-logs/d/a",
            "opencode-db/c/b/t",
            "agent-homes/d",
            "projects/d/p/repo",
            "companies/d/agents/a/instructions",
            // The server's.
            "data",
            "data/run-logs/c/a",
            "db",
            "secrets",
            "logs",
            "anything/else",
        ];
        for folder in of_instance {
            refused(&format!("instances/default/{folder}"));
        }
    }

    #[test]
    fn the_hosts_own_folders_for_a_run_are_taken() {
        let folders = [
            "instances/default/workspaces/a",
            "instances/default/projects/c/p/repo/.paperclip/worktrees/w",
            "instances/prod/companies/c/agents/a/instructions",
            "instances/default/run-logs/c/a",
            "instances/default/agent-homes/c/src",
            ".paperclip/instances/default/workspaces/a",
            "repo",
            "work/p/instances",
        ];
        for folder in folders {
            let cwd = format!("/paperclip/{folder}");
            let made = manifest::render(&spec("own", &cwd));
            assert!(made.is_ok(), "{cwd}: {made:?}");
        }
    }

    #[test]
    fn every_folder_that_a_pod_is_to_see_is_looked_at() {
        let mut spec = spec("own", "/paperclip/work/p");
        spec.run.agent_db = AgentDb::File("/paperclip/instances/default/opencode.db".to_owned());
        let error = manifest::render(&spec).expect_err("refused").to_string();
        assert!(
            error.contains("agentDbPath /paperclip/instances/default "),
            "{error}"
        );
        spec.run.agent_db = AgentDb::Home;
        spec.settings.bundle_root = Some("/paperclip/instances/default/companies".to_owned());
        let error = manifest::render(&spec).expect_err("refused").to_string();
        assert!(error.contains("instructionsRootPath "), "{error}");
    }

    #[test]
    fn by_default_a_pod_sees_all_of_the_volume() {
        let (pod, folders) = rendered("", "/paperclip/work/p");
        assert_eq!(
            data_mounts(&pod["containers"][0]),
            [("/paperclip".to_owned(), "prod".to_owned())]
        );
        assert_eq!(folders, FoldersToMake::default());
    }
}
