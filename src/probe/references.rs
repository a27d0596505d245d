//! What an agent's pod names must be in its own namespace: it inherits names from the server's pod, which may be in
//! another one.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, ServiceAccount};
use kube::Api;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Check, Level, bounded};
use crate::cluster::{Cluster, ClusterError};
use crate::config::SelfPod;

/// Most objects that are asked for.
const MOST: usize = 20;
/// The code of a service account that is missing.
pub(super) const ACCOUNT_MISSING: &str = "k8s_service_account_missing";
const INHERITED: &str = "Agents inherit it from the server's pod, or their settings name it. ";
const TAKE_OUT: &str = "or take it out (`inheritEnv`, `inheritSecretMounts`, `podSpecPatch`)";

/// What is named. Agents' pods do not start without any of them, but without a pull secret, where the image is public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Secret,
    ConfigMap,
    Claim,
    PullSecret,
    Account,
}

type Reference = (Kind, String);

/// One check for each object that is missing in the Job's namespace. What may not be read is no finding: a run does not
/// read it either. `run_secret`: the Secret that only a run makes.
pub(super) async fn check(cluster: &Cluster, job: &Job, own: &SelfPod, run_secret: &str) -> Vec<Check> {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let pod = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let mut named = references(&serde_json::to_value(pod).unwrap_or_default());
    named.remove(&(Kind::Secret, run_secret.to_owned()));
    // The shared claim has a check of its own.
    named.retain(|(kind, name)| *kind != Kind::Claim || Some(name) != own.pvc_claim_name.as_ref());
    let asked = named.iter().take(MOST).map(async |(kind, name)| {
        let answer = ask(cluster, namespace, *kind, name).await;
        let is_missing = answer.is_err_and(|error| error.is_not_found());
        is_missing.then(|| missing(*kind, name, namespace, &own.namespace))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn ask(cluster: &Cluster, namespace: &str, kind: Kind, name: &str) -> Result<(), ClusterError> {
    match kind {
        Kind::Secret | Kind::PullSecret => ask_for::<Secret>(cluster, namespace, "secret", name).await,
        Kind::ConfigMap => ask_for::<ConfigMap>(cluster, namespace, "configmap", name).await,
        Kind::Claim => {
            ask_for::<PersistentVolumeClaim>(cluster, namespace, "persistentvolumeclaim", name).await
        }
        Kind::Account => ask_for::<ServiceAccount>(cluster, namespace, "serviceaccount", name).await,
    }
}

async fn ask_for<K>(cluster: &Cluster, namespace: &str, kind: &str, name: &str) -> Result<(), ClusterError>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(cluster.client(), namespace);
    bounded("get", &format!("{kind}/{name}"), api.get_metadata(name))
        .await
        .map(drop)
}

/// `own`: the server's namespace, where an object of that name may be.
fn missing(kind: Kind, name: &str, namespace: &str, own: &str) -> Check {
    let (word, resource, code) = match kind {
        Kind::Secret => ("Secret", "secret", "k8s_inherited_secret_missing"),
        Kind::ConfigMap => ("ConfigMap", "configmap", "k8s_inherited_configmap_missing"),
        Kind::Claim => ("Claim", "pvc", "k8s_inherited_claim_missing"),
        Kind::PullSecret => ("Pull secret", "secret", "k8s_pull_secret_missing"),
        Kind::Account => ("Service account", "serviceaccount", ACCOUNT_MISSING),
    };
    let (level, without) = match kind {
        Kind::PullSecret => (
            Level::Warn,
            "images are pulled without it, which a private registry refuses",
        ),
        _ => (Level::Error, "no agent's pod starts without it"),
    };
    let message = format!("{word} {name} is missing in namespace {namespace}: {without}");
    // What holds only texts can be copied; a volume stays where it is.
    let is_elsewhere = namespace != own && !matches!(kind, Kind::Claim | Kind::Account);
    let make = if is_elsewhere {
        format!(
            "kubectl -n {own} get {resource} {name} -o yaml | sed 's/^  namespace: {own}$/  namespace: {namespace}/' | \
             kubectl apply -f -"
        )
    } else {
        format!("kubectl -n {namespace} get {resource}")
    };
    let hint = match kind {
        Kind::Account => format!(
            "Create it, or correct *Service account* on the agent's page: kubectl -n {namespace} create \
             serviceaccount {name}"
        ),
        Kind::PullSecret if is_elsewhere => {
            format!("{INHERITED}Copy it from the server's namespace: {make}")
        }
        Kind::PullSecret => {
            format!(
                "{INHERITED}Make it, or take it out of *Secrets for pulling images* on the agent's page; these are there: {make}"
            )
        }
        _ if is_elsewhere => format!("{INHERITED}Copy it from the server's namespace, {TAKE_OUT}: {make}"),
        _ => format!("{INHERITED}Make it there, {TAKE_OUT}; these are there: {make}"),
    };
    Check::new(level, code, message, Some(&hint))
}

/// What the kubelet needs before it starts the pod: in variables, whole environments and volumes; and pull secrets and
/// the account. Pure.
fn references(pod: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    collect(pod, &mut found);
    let pulls = pod.get("imagePullSecrets").and_then(Value::as_array);
    found.extend(
        pulls
            .into_iter()
            .flatten()
            .filter_map(|pull| named(Kind::PullSecret, pull.get("name"))),
    );
    found.extend(named(Kind::Account, pod.get("serviceAccountName")));
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
    if source.get("optional").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let name = source.get("secretName").or_else(|| source.get("name"));
    match key {
        "secretKeyRef" | "secretRef" | "secret" | "nodePublishSecretRef" => named(Kind::Secret, name),
        "azureFile" => named(Kind::Secret, source.get("secretName")),
        "configMapKeyRef" | "configMapRef" | "configMap" => named(Kind::ConfigMap, name),
        "persistentVolumeClaim" => named(Kind::Claim, source.get("claimName")),
        _ => None,
    }
}

fn named(kind: Kind, name: Option<&Value>) -> Option<Reference> {
    let name = name.and_then(Value::as_str).filter(|name| !name.is_empty())?;
    Some((kind, name.to_owned()))
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
            "imagePullSecrets": [{"name": "registry"}], "serviceAccountName": "agents",
            "volumes": [{"name": "v", "secret": {"secretName": "npm"}}, {"name": "w", "configMap": {"name": "ca"}},
                {"name": "x", "projected": {"sources": [{"secret": {"name": "tls"}}]}},
                {"name": "y", "persistentVolumeClaim": {"claimName": "cache"}},
                {"name": "z", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "vault"}}}]});
        let wanted = [
            (Kind::Secret, "keys"),
            (Kind::Secret, "npm"),
            (Kind::Secret, "tls"),
            (Kind::Secret, "vault"),
            (Kind::ConfigMap, "ca"),
            (Kind::ConfigMap, "settings"),
            (Kind::Claim, "cache"),
            (Kind::PullSecret, "registry"),
            (Kind::Account, "agents"),
        ];
        assert_eq!(
            references(&pod),
            wanted.map(|(kind, name)| (kind, name.to_owned())).into()
        );
    }

    #[test]
    fn each_that_is_missing_has_a_command_that_mends_it() {
        let of = |kind, own: &str| missing(kind, "x", "agents", own);
        for kind in [Kind::Secret, Kind::ConfigMap, Kind::PullSecret] {
            let hint = of(kind, "prod").hint.expect("a hint");
            assert!(
                hint.contains(": kubectl -n prod get ") && hint.ends_with("| kubectl apply -f -"),
                "{hint}"
            );
            let hint = of(kind, "agents").hint.expect("a hint");
            assert!(
                hint.contains("; these are there: kubectl -n agents get "),
                "{hint}"
            );
        }
        let hint = of(Kind::Claim, "prod").hint.expect("a hint");
        assert!(
            hint.ends_with(": kubectl -n agents get pvc"),
            "a claim cannot be copied: {hint}"
        );
        let account = of(Kind::Account, "prod").hint.expect("a hint");
        assert!(
            account.ends_with(": kubectl -n agents create serviceaccount x"),
            "{account}"
        );
        assert_eq!(of(Kind::PullSecret, "prod").level, Level::Warn);
        assert_eq!(of(Kind::Secret, "prod").level, Level::Error);
    }
}
