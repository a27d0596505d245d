//! Which folders of the shared volume a pod sees whose agent is to see only its own: its log folder, its workspace, its
//! database, and a HOME that it shares with its company's agents. Pure.

use super::LogPaths;
use super::paths::POD_ROOT;
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
    let database = match &spec.run.agent_db {
        AgentDb::File(path) => path.rsplit_once('/').map(|(folder, _)| folder),
        _ => None,
    };
    let workspace = spec.run.context.member("paperclipWorkspace");
    let agent_home = spec
        .settings
        .bundle_root
        .as_deref()
        .or_else(|| workspace.and_then(|workspace| workspace.trimmed("agentHome")));
    let wanted = [
        Some(paths.dir.as_str()),
        Some(spec.run.working_dir.as_str()),
        database,
        agent_home,
    ];
    let mut parts = vec![home];
    for path in wanted.into_iter().flatten() {
        let path = path.trim_end_matches('/');
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

fn below_root(path: &str) -> Option<&str> {
    let folder = path.strip_prefix(POD_ROOT)?.strip_prefix('/')?;
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    folder.split('/').all(is_plain).then_some(folder)
}

/// Folders that must be there before the Job is: what the pod sees, and in its HOME the places of the others. A kubelet
/// would make them as root. Absolute, as a pod with all of the volume sees them.
pub fn folders_to_make(spec: &RunSpec, paths: &LogPaths) -> Vec<String> {
    let parts = parts(spec, paths).unwrap_or_default();
    let home = parts.first().map(|home| home.folder.clone()).unwrap_or_default();
    let places = parts.iter().skip(1).map(|part| format!("{home}/{}", part.folder));
    let folders = parts.iter().map(|part| part.folder.clone()).chain(places);
    folders.map(|folder| format!("{POD_ROOT}/{folder}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RenderRequest;
    use crate::manifest;
    use serde_json::{Value, json};

    fn rendered(access: &str, cwd: &str) -> (Value, Vec<String>) {
        let request = json!({"runId": "r", "agent": {"id": "a", "companyId": "c"}, "prompt": "p",
            "config": {"volumeAccess": access}, "agentDbPath": "/paperclip/instances/default/opencode-db/c/a/t/opencode.db",
            "context": {"paperclipWorkspace": {"cwd": cwd, "agentHome": "/paperclip/agents/a/"}},
            "selfPod": {"namespace": "n", "image": "i", "pvcClaimName": "data", "dataSubPath": "prod"}});
        let request = RenderRequest::from_json(&request.to_string()).expect("a request");
        let spec = RunSpec::from_request(&request).expect("a spec");
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
        assert!(folders.contains(&format!("/paperclip/instances/default/agent-homes/c/{logs}")));
        assert!(folders.contains(&format!("/paperclip/{database}")));
        assert_eq!(folders.len(), 9);
    }

    #[test]
    fn a_path_outside_the_volume_is_no_part_of_it() {
        for cwd in ["/paperclip", "/work", "/paperclip/../etc", "/paperclips/x"] {
            let (pod, _) = rendered("own", cwd);
            assert_eq!(data_mounts(&pod["containers"][0]).len(), 4, "{cwd}");
        }
    }

    #[test]
    fn by_default_a_pod_sees_all_of_the_volume() {
        let (pod, folders) = rendered("", "/paperclip/work/p");
        assert_eq!(
            data_mounts(&pod["containers"][0]),
            [("/paperclip".to_owned(), "prod".to_owned())]
        );
        assert!(folders.is_empty());
    }
}
