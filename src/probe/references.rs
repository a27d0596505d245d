//! Secrets and ConfigMaps that an agent's pod names must be in its namespace: it inherits them from the server's pod,
//! which may be in another one.

use std::collections::BTreeSet;

use futures::future::join_all;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use serde_json::Value;

use super::{Check, Level, bounded};
use crate::cluster::{Cluster, ClusterError};

/// Most objects that are asked for.
const MOST: usize = 20;

/// A Secret or a ConfigMap.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    Secret(String),
    ConfigMap(String),
}

/// One check for each object that is missing. What may not be read is no finding: a run does not read it either.
pub(super) async fn check(cluster: &Cluster, job: &Job) -> Vec<Check> {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let named = references(&serde_json::to_value(pod).unwrap_or_default());
    let asked = named
        .iter()
        .take(MOST)
        .map(|named| ask(cluster, namespace, named));
    join_all(asked).await.into_iter().flatten().collect()
}

async fn ask(cluster: &Cluster, namespace: &str, named: &Reference) -> Option<Check> {
    let client = cluster.client();
    let (kind, code, name, answer): (_, _, _, Result<_, ClusterError>) = match named {
        Reference::Secret(name) => {
            let api: Api<Secret> = Api::namespaced(client, namespace);
            let answer = bounded("get", &format!("secret/{name}"), api.get_metadata(name)).await;
            ("Secret", "k8s_inherited_secret_missing", name, answer.map(drop))
        }
        Reference::ConfigMap(name) => {
            let api: Api<ConfigMap> = Api::namespaced(client, namespace);
            let answer = bounded("get", &format!("configmap/{name}"), api.get_metadata(name)).await;
            (
                "ConfigMap",
                "k8s_inherited_configmap_missing",
                name,
                answer.map(drop),
            )
        }
    };
    answer.err().filter(ClusterError::is_not_found)?;
    let message =
        format!("{kind} {name} is missing in namespace {namespace}: no agent's pod starts without it");
    let hint = format!(
        "Agents inherit it from the server's pod, or their settings name it. Make it there, or take it out (`inheritEnv`, \
         `inheritSecretMounts`, `podSpecPatch`): kubectl -n {namespace} get secrets,configmaps"
    );
    Some(Check::new(Level::Error, code, message, Some(&hint)))
}

/// What the kubelet needs before it starts the pod: in variables, whole environments and volumes. Pure.
fn references(pod: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    collect(pod, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Reference>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => {
            for (key, inner) in members {
                found.extend(reference(key, inner));
                collect(inner, found);
            }
        }
        _ => {}
    }
}

/// The object that a member names by its key, unless the kubelet does without it.
fn reference(key: &str, source: &Value) -> Option<Reference> {
    let name = || {
        let name = source.get("secretName").or_else(|| source.get("name"));
        name.and_then(Value::as_str).map(str::to_owned)
    };
    if source.get("optional").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    match key {
        "secretKeyRef" | "secretRef" | "secret" => name().map(Reference::Secret),
        "configMapKeyRef" | "configMapRef" | "configMap" => name().map(Reference::ConfigMap),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_pod_cannot_start_without_is_found_wherever_it_is_named() {
        let pod = json!({
            "containers": [{"env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "maybe", "key": "a", "optional": true}}},
                {"name": "secret", "value": "text"}],
                "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}}]}],
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [{"name": "v", "secret": {"secretName": "npm"}}, {"name": "w", "configMap": {"name": "ca"}},
                {"name": "x", "projected": {"sources": [{"secret": {"name": "tls"}}]}}]});
        let secret = |name: &str| Reference::Secret(name.to_owned());
        let config = |name: &str| Reference::ConfigMap(name.to_owned());
        let wanted = [
            secret("keys"),
            secret("npm"),
            secret("tls"),
            config("ca"),
            config("settings"),
        ];
        assert_eq!(references(&pod), BTreeSet::from(wanted));
    }
}
