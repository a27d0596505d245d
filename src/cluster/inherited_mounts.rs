//! What the server's container mounts beside the shared volume and Secrets, and in which order its variables stand.
//! Pure.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EnvFromSource, EnvVar,
    EnvVarSource, PodSpec, ProjectedVolumeSource, Volume, VolumeMount, VolumeProjection,
};

use crate::config::{HOSTS_FOLDER, MountedVolume};
use crate::manifest::names::OPENCODE_CONTAINER;

/// Where the API server mounts the account of a pod. A mount of ours at this path would keep an agent's own account
/// away.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// ConfigMaps, fields of the pod and projected volumes, without tokens: those are the server's.
pub(super) fn other_volumes(spec: &PodSpec, container: &Container) -> Vec<MountedVolume> {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let is_for_agents = |mount: &&VolumeMount| {
        let path = &mount.mount_path;
        // A path that depends on the server's variables may be another in an agent's pod.
        let is_plain = mount.sub_path_expr.as_ref().is_none_or(String::is_empty);
        is_plain && path.trim_end_matches('/') != ACCOUNT && !path.starts_with(HOSTS_FOLDER)
    };
    let of = |mount: &VolumeMount| {
        let volume = volumes.iter().find(|volume| volume.name == mount.name)?;
        Some(MountedVolume {
            volume: carried(volume, &container.name)?,
            mount: VolumeMount {
                read_only: Some(true),
                ..mount.clone()
            },
        })
    };
    mounts.iter().filter(is_for_agents).filter_map(of).collect()
}

fn carried(volume: &Volume, server: &str) -> Option<Volume> {
    let name = volume.name.clone();
    if let Some(config_map) = &volume.config_map {
        return Some(Volume {
            name,
            config_map: Some(ConfigMapVolumeSource {
                // In another namespace it may be missing, and no agent shall wait for it.
                optional: Some(true),
                ..config_map.clone()
            }),
            ..Volume::default()
        });
    }
    if let Some(fields) = &volume.downward_api {
        return Some(Volume {
            name,
            downward_api: Some(DownwardAPIVolumeSource {
                items: fields.items.as_ref().map(|items| of_agent(items, server)),
                ..fields.clone()
            }),
            ..Volume::default()
        });
    }
    let projected = volume.projected.as_ref()?;
    let sources = projected.sources.iter().flatten();
    let sources: Vec<VolumeProjection> = sources
        .filter_map(|source| without_token(source, server))
        .collect();
    (!sources.is_empty()).then(|| Volume {
        name,
        projected: Some(ProjectedVolumeSource {
            sources: Some(sources),
            ..projected.clone()
        }),
        ..Volume::default()
    })
}

fn without_token(source: &VolumeProjection, server: &str) -> Option<VolumeProjection> {
    let mut source = VolumeProjection {
        service_account_token: None,
        ..source.clone()
    };
    if let Some(secret) = &mut source.secret {
        secret.optional = Some(true);
    }
    if let Some(config_map) = &mut source.config_map {
        config_map.optional = Some(true);
    }
    if let Some(fields) = &mut source.downward_api {
        fields.items = fields.items.as_ref().map(|items| of_agent(items, server));
    }
    (source != VolumeProjection::default()).then_some(source)
}

/// Files with fields of the pod; what names the server's container names the agent's.
fn of_agent(items: &[DownwardAPIVolumeFile], server: &str) -> Vec<DownwardAPIVolumeFile> {
    let mut items = items.to_vec();
    items.retain_mut(|item| {
        let Some(resource) = &mut item.resource_field_ref else {
            return true;
        };
        let is_servers = resource.container_name.as_deref() == Some(server);
        resource.container_name = Some(OPENCODE_CONTAINER.to_owned());
        is_servers
    });
    items
}

/// Variables that come from elsewhere, for another container: what names the server's container names the agent's, and
/// what names a container that agents' pods have not is left out. The second value has the names of these.
pub(super) fn from_elsewhere(env: &[EnvVar], server: &str) -> (Vec<EnvVar>, Vec<String>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for entry in env.iter().filter(|entry| entry.value_from.is_some()) {
        let mut entry = entry.clone();
        // A newer cluster has sources that nobody knows here, and the API server takes no empty one.
        if entry.value_from == Some(EnvVarSource::default()) {
            left_out.push(entry.name);
            continue;
        }
        let resource = entry
            .value_from
            .as_mut()
            .and_then(|source| source.resource_field_ref.as_mut());
        match resource {
            Some(resource)
                if resource
                    .container_name
                    .as_deref()
                    .is_some_and(|name| name != server && !name.is_empty()) =>
            {
                left_out.push(entry.name);
                continue;
            }
            Some(resource) => resource.container_name = None,
            None => {}
        }
        kept.push(entry);
    }
    (kept, left_out)
}

/// Secrets and ConfigMaps that are inherited as a whole, and the same for those that nobody knows here.
pub(super) fn whole_sources(container: &Container) -> (Vec<EnvFromSource>, Vec<String>) {
    let all = container.env_from.iter().flatten().cloned();
    let (known, others): (Vec<_>, Vec<_>) =
        all.partition(|source| source.config_map_ref.is_some() || source.secret_ref.is_some());
    let names = others
        .into_iter()
        .map(|source| format!("{}*", source.prefix.unwrap_or_default()));
    (known, names.collect())
}

/// The variables without those that a later one of the same name replaces. Of two literals both stay: what stands
/// between them may name the first.
pub(super) fn without_replaced(env: &[EnvVar]) -> Vec<EnvVar> {
    let is_replaced = |at: usize, entry: &EnvVar| {
        let mut later = env.iter().skip(at + 1).filter(|later| later.name == entry.name);
        later.any(|later| entry.value_from.is_some() || later.value_from.is_some())
    };
    let entries = env
        .iter()
        .enumerate()
        .filter(|(at, entry)| !is_replaced(*at, entry));
    entries.map(|(_, entry)| entry.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn config_maps_and_projected_volumes_are_carried_without_tokens() {
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [{"name": "paperclip", "volumeMounts": [
                {"name": "ca", "mountPath": "/etc/ca", "subPath": "ca.crt"},
                {"name": "identity", "mountPath": "/var/run/secrets/aws"},
                {"name": "mixed", "mountPath": "/etc/mixed"},
                {"name": "ca", "mountPath": "/etc/x", "subPathExpr": "$(POD)"},
                {"name": "ca", "mountPath": "/paperclip/instances/default/config.json", "subPath": "c"},
                {"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
                {"name": "pod", "mountPath": "/etc/pod"},
                {"name": "cache", "mountPath": "/cache"}]}],
            "volumes": [
                {"name": "ca", "configMap": {"name": "company-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"name": "identity", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
                {"name": "mixed", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
                    {"configMap": {"name": "ca"}}, {"secret": {"name": "s"}}, {"downwardAPI": {"items": []}}]}},
                {"name": "kube-api-access-x", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt"}}]}},
                {"name": "pod", "downwardAPI": {"items": [
                    {"path": "cpu", "resourceFieldRef": {"containerName": "paperclip", "resource": "limits.cpu"}},
                    {"path": "x", "resourceFieldRef": {"containerName": "proxy", "resource": "limits.cpu"}},
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                {"name": "cache", "emptyDir": {}}]}))
        .expect("a pod");
        let carried = other_volumes(&spec, &spec.containers[0]);
        let paths: Vec<&str> = carried
            .iter()
            .map(|volume| volume.mount.mount_path.as_str())
            .collect();
        assert_eq!(paths, ["/etc/ca", "/etc/mixed", "/etc/pod"]);
        let fields = carried[2]
            .volume
            .downward_api
            .as_ref()
            .and_then(|fields| fields.items.as_ref());
        let fields = serde_json::to_value(fields).expect("JSON");
        assert_eq!(fields[0]["resourceFieldRef"]["containerName"], "opencode");
        assert_eq!(fields[1]["path"], "labels");
        assert_eq!(carried[0].mount.sub_path.as_deref(), Some("ca.crt"));
        let config_map = carried[0].volume.config_map.as_ref().expect("a ConfigMap");
        assert_eq!(
            (config_map.items.as_ref().map(Vec::len), config_map.optional),
            (Some(1), Some(true))
        );
        let sources = carried[1]
            .volume
            .projected
            .as_ref()
            .and_then(|projected| projected.sources.as_ref());
        assert_eq!(sources.map(Vec::len), Some(3));
    }

    #[test]
    fn a_resource_of_the_servers_container_becomes_the_agents() {
        let entry = |name: &str, container: Option<&str>| -> EnvVar {
            serde_json::from_value(json!({"name": name, "valueFrom": {"resourceFieldRef":
                {"resource": "limits.memory", "containerName": container}}}))
            .expect("a variable")
        };
        let env = [
            entry("A", Some("paperclip")),
            entry("B", None),
            entry("C", Some("proxy")),
        ];
        let (kept, left_out) = from_elsewhere(&env, "paperclip");
        let named = |entry: &EnvVar| {
            let source = entry
                .value_from
                .as_ref()
                .and_then(|source| source.resource_field_ref.as_ref());
            source.and_then(|resource| resource.container_name.clone())
        };
        assert_eq!(kept.iter().map(named).collect::<Vec<_>>(), [None, None]);
        assert_eq!(left_out, ["C"]);
    }
}
