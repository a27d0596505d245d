//! Reads the server's own pod: the agents' pods inherit its image, claim, secrets and environment.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec, VolumeMount};
use kube::api::ListParams;

use super::inherited_mounts::{from_elsewhere, other_volumes, whole_sources, without_replaced};
use super::verbs::{Backoff, Namespace, UNREADY_LIMIT, call, retry_transient};
use super::{Cluster, ClusterError};
use crate::config::{POD_ROOT, SecretVolume, SelfPod, Texts};

const RETRY_LIMIT: Duration = Duration::from_secs(30);
/// The server's container, when the pod has more than one.
pub const SERVER_CONTAINER: &str = "paperclip";

/// The warning when the pod had to be found by a list.
const FOUND_BY_LIST: &str =
    "reading the server's own pod is not granted (verb `get` on pods): found by a list instead";

/// Reads the server's own pod. Where `get` is not granted it is found by a list, and the second value is a warning that
/// says so.
///
/// # Errors
/// What the API server answered, or what the pod lacks.
pub async fn introspect(
    cluster: &Cluster,
    namespace: &str,
    pod_name: &str,
) -> Result<(SelfPod, Option<&'static str>), ClusterError> {
    let pods = Namespace::new(cluster, namespace).pods;
    let on = format!("pod/{pod_name}");
    let mut unready = Backoff::new(UNREADY_LIMIT);
    // Only both refusals together are one.
    let (found, warning) = loop {
        let found = retry_transient(RETRY_LIMIT, "get", &on, || call("get", &on, pods.get(pod_name))).await;
        if !found.as_ref().is_err_and(ClusterError::is_not_granted) {
            break (found, None);
        }
        let by_name = ListParams::default().fields(&format!("metadata.name={pod_name}"));
        let listed = retry_transient(RETRY_LIMIT, "list", "pods", || {
            call("list", "pods", pods.list(&by_name))
        });
        if let Some(pod) = listed.await.ok().and_then(|list| list.items.into_iter().next()) {
            break (Ok(pod), Some(FOUND_BY_LIST));
        }
        if !unready.wait().await {
            break (found, None);
        }
    };
    let pod = found.map_err(|error| {
        if error.is_not_found() {
            ClusterError::Config(format!(
                "Server's own pod not found: there is no pod {pod_name} in namespace {namespace}. Set POD_NAME and \
                 PAPERCLIP_NAMESPACE in the server's environment (HOSTNAME is not the pod's name with hostNetwork)"
            ))
        } else {
            error
        }
    })?;
    self_pod(&pod)
        .map(|pod| (pod, warning))
        .ok_or_else(|| ClusterError::Config(format!("No container to inherit from: pod {pod_name} has none")))
}

/// What agents' pods inherit from this pod; `None` when it has no container. Pure.
#[must_use]
pub fn self_pod(pod: &Pod) -> Option<SelfPod> {
    let spec = pod.spec.as_ref()?;
    let container = server_container(spec)?;
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let data = mounts
        .iter()
        .find(|mount| mount.mount_path.trim_end_matches('/') == POD_ROOT);
    let all = container.env.as_deref().unwrap_or_default();
    let env = without_replaced(all);
    let (value_from, mut left_out) = from_elsewhere(&env, &container.name);
    let (inherited_env_from, unknown) = whole_sources(container);
    left_out.extend(unknown);
    let security = container.security_context.as_ref();
    let pod_security = spec.security_context.as_ref();
    Some(SelfPod {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        container: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        image_pull_secrets: spec.image_pull_secrets.clone().unwrap_or_default(),
        dns_config: spec.dns_config.clone(),
        pvc_claim_name: data.and_then(|mount| claim_of(spec, mount)),
        data_sub_path: data.and_then(|mount| mount.sub_path.clone()),
        data_sub_path_expr: data.and_then(|mount| mount.sub_path_expr.clone()),
        secret_volumes: mounts
            .iter()
            .filter_map(|mount| secret_volume(spec, mount))
            .collect(),
        inherited_env: Texts(literal(&env)),
        inherited_env_value_from: value_from,
        other_volumes: other_volumes(spec, container),
        mounts: mounts
            .iter()
            .map(|mount| without_slash(&mount.mount_path))
            .collect(),
        env_order: all.iter().map(|entry| entry.name.clone()).collect(),
        left_out,
        inherited_env_from,
        hidden_env: Vec::new(),
        se_linux_options: security
            .and_then(|security| security.se_linux_options.clone())
            .or_else(|| pod_security.and_then(|security| security.se_linux_options.clone())),
        supplemental_groups: pod_security
            .and_then(|security| security.supplemental_groups.clone())
            .unwrap_or_default(),
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        tolerations: spec
            .tolerations
            .iter()
            .flatten()
            .filter(|t| !is_automatic(t.key.as_deref()))
            .cloned()
            .collect(),
    })
}

fn server_container(spec: &PodSpec) -> Option<&Container> {
    spec.containers
        .iter()
        .find(|container| container.name == SERVER_CONTAINER)
        .or_else(|| spec.containers.first())
}

fn claim_of(spec: &PodSpec, mount: &VolumeMount) -> Option<String> {
    let volume = spec
        .volumes
        .as_ref()?
        .iter()
        .find(|volume| volume.name == mount.name)?;
    Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone())
}

fn secret_volume(spec: &PodSpec, mount: &VolumeMount) -> Option<SecretVolume> {
    let volume = spec
        .volumes
        .as_ref()?
        .iter()
        .find(|volume| volume.name == mount.name)?;
    let secret = volume.secret.as_ref()?;
    // A path that depends on the server's variables may be another in an agent's pod.
    if mount.sub_path_expr.as_ref().is_some_and(|expr| !expr.is_empty()) {
        return None;
    }
    Some(SecretVolume {
        volume_name: volume.name.clone(),
        secret_name: secret.secret_name.clone()?,
        mount_path: mount.mount_path.clone(),
        default_mode: secret.default_mode,
        sub_path: mount.sub_path.clone(),
        items: secret.items.clone().unwrap_or_default(),
    })
}

fn without_slash(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

fn literal(env: &[EnvVar]) -> Vec<(String, String)> {
    env.iter()
        .filter(|var| var.value_from.is_none())
        .map(|var| (var.name.clone(), var.value.clone().unwrap_or_default()))
        .collect()
}

/// Whether the API server adds this toleration to every pod by itself.
fn is_automatic(key: Option<&str>) -> bool {
    matches!(
        key,
        Some("node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_paperclip_container_and_its_claim_are_inherited() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "paperclip-0", "namespace": "paperclip"},
            "spec": {
                "containers": [
                    {"name": "proxy", "image": "proxy:1"},
                    {"name": "paperclip", "image": "paperclip:1",
                     "env": [{"name": "A", "value": "1"},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b"}}}],
                     "volumeMounts": [
                        {"name": "data", "mountPath": "/paperclip", "subPath": "prod"},
                        {"name": "files", "mountPath": "/etc/files"}]}],
                "tolerations": [{"key": "node.kubernetes.io/not-ready"}, {"key": "gpu"}],
                "volumes": [
                    {"name": "data", "persistentVolumeClaim": {"claimName": "paperclip-data"}},
                    {"name": "files", "secret": {"secretName": "f"}}]}
        }))
        .expect("a pod");
        let own = self_pod(&pod).expect("a container");
        assert_eq!(own.image, "paperclip:1");
        assert_eq!(own.pvc_claim_name.as_deref(), Some("paperclip-data"));
        assert_eq!(own.data_sub_path.as_deref(), Some("prod"));
        assert_eq!(own.inherited_env.0, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(own.inherited_env_value_from.len(), 1);
        assert_eq!(own.secret_volumes.len(), 1);
        assert_eq!(own.tolerations.len(), 1);
    }
}
