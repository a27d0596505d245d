//! The environment test: what a run needs, asked one by one, fast and bounded when the API server hangs.

mod rights;
mod volume;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Secret};
use kube::Api;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::cluster::verbs::call;
use crate::cluster::{Cluster, ClusterError, host_pod};
use crate::config::{Json, SelfPod};
use crate::manifest::POD_ROOT;
use crate::run::request::Environment;

/// No single question takes longer.
const LIMIT: Duration = Duration::from_secs(5);

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// A run works, but slower or with a risk.
    Warn,
    /// A run would fail.
    Error,
}

/// One finding, in the host's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A word of the contract.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    fn new(level: Level, code: &str, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self {
            code: code.to_owned(),
            level,
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }
}

/// What the shim sends.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProbeRequest {
    config: Json,
    environment: Environment,
    paperclip_api_url: Option<String>,
}

/// Asks everything; never fails.
pub async fn probe(text: &str) -> Vec<Check> {
    let request: ProbeRequest = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(error) => {
            return vec![Check::new(
                Level::Error,
                "k8s_probe_failed",
                format!("the request is no JSON: {error}"),
                None,
            )];
        }
    };
    let mut checks = Vec::new();
    let Some(cluster) = reachable(&request, &mut checks).await else {
        return checks;
    };
    let own = own_pod(&request, &cluster, &mut checks).await;
    // What the Deployment says goes to the pods as it is.
    let inherited = own
        .as_ref()
        .and_then(|own| own.inherited_env.get("PAPERCLIP_API_URL"));
    checks.extend(api_url(inherited.or(request.paperclip_api_url.as_deref())));
    let namespace = text_field(&request.config, "namespace")
        .or_else(|| own.as_ref().map(|own| own.namespace.clone()))
        .unwrap_or_else(|| cluster.default_namespace.clone());
    checks.push(namespace_exists(&cluster, &namespace).await);
    checks.extend(rights::check(&cluster, &namespace).await);
    checks.push(secret_exists(&cluster, &namespace, &request.config).await);
    if let Some(own) = own {
        checks.extend(claim(&cluster, &namespace, &own).await);
    }
    // The same decision as that of a run.
    let configured = request.config.text("dataRoot").unwrap_or(POD_ROOT);
    checks.extend(volume::check(request.environment.data_root(configured)));
    checks
}

fn text_field(config: &Json, key: &str) -> Option<String> {
    config.text(key).map(str::to_owned)
}

/// An address that only this machine can reach is useless in a pod.
fn api_url(url: Option<&str>) -> Option<Check> {
    let host = url?
        .split_once("://")
        .map_or(url, |(_, rest)| Some(rest))?
        .split(['/', ':'])
        .next()?;
    let local = matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0" | "[");
    local.then(|| {
        Check::new(
            Level::Error,
            "k8s_api_url_unreachable_from_pods",
            format!("PAPERCLIP_API_URL is {}: a pod that calls it reaches itself", url.unwrap_or_default()),
            Some("Set PAPERCLIP_API_URL in the server's Deployment to the Service's address, e.g. http://paperclip.<namespace>.svc:3100"),
        )
    })
}

async fn reachable(request: &ProbeRequest, checks: &mut Vec<Check>) -> Option<Cluster> {
    let access = request
        .environment
        .access(text_field(&request.config, "kubeconfig"));
    let connected = match Cluster::connect(access).await {
        Ok(cluster) => bounded("get", "version", cluster.client.apiserver_version())
            .await
            .map(|version| (cluster, version)),
        Err(error) => Err(error),
    };
    match connected {
        Ok((cluster, version)) => {
            let message = format!("the API server answers (Kubernetes {})", version.git_version);
            checks.push(Check::new(Level::Info, "k8s_api_reachable", message, None));
            Some(cluster)
        }
        Err(error) => {
            let hint = "Check the kubeconfig or the service account of the server's pod, and the network to the API server";
            checks.push(Check::new(
                Level::Error,
                "k8s_api_unreachable",
                error.to_string(),
                Some(hint),
            ));
            None
        }
    }
}

async fn own_pod(request: &ProbeRequest, cluster: &Cluster, checks: &mut Vec<Check>) -> Option<SelfPod> {
    let namespace = request
        .environment
        .namespace
        .clone()
        .unwrap_or_else(|| cluster.default_namespace.clone());
    let found = match request.environment.own_pod() {
        Ok(name) => match timeout(LIMIT, host_pod::introspect(cluster, &namespace, name)).await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        },
        Err(failure) => Err(failure.message),
    };
    match found {
        Ok((own, _)) => Some(own),
        Err(message) => {
            let hint = "Set POD_NAME and PAPERCLIP_NAMESPACE in the server's Deployment (downward API) and grant `get pods`";
            checks.push(Check::new(
                Level::Error,
                "k8s_self_pod_unknown",
                message,
                Some(hint),
            ));
            None
        }
    }
}

async fn namespace_exists(cluster: &Cluster, name: &str) -> Check {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    match bounded("get", &format!("namespace/{name}"), api.get(name)).await {
        Ok(_) => Check::new(
            Level::Info,
            "k8s_namespace_exists",
            format!("namespace {name} exists"),
            None,
        ),
        Err(error) => Check::new(Level::Warn, "k8s_namespace_check_failed", error.to_string(), None),
    }
}

async fn secret_exists(cluster: &Cluster, namespace: &str, config: &Json) -> Check {
    let name = text_field(config, "secretRef").unwrap_or_else(|| "paperclip-secrets".to_owned());
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    match bounded("get", &format!("secret/{name}"), api.get_metadata(&name)).await {
        Ok(_) => Check::new(
            Level::Info,
            "k8s_secret_exists",
            format!("Secret {name} exists"),
            None,
        ),
        Err(error) => {
            let hint = "Only needed when agents take credentials from it";
            Check::new(Level::Warn, "k8s_secret_missing", error.to_string(), Some(hint))
        }
    }
}

async fn claim(cluster: &Cluster, namespace: &str, own: &SelfPod) -> Vec<Check> {
    let Some(name) = &own.pvc_claim_name else {
        return vec![Check::new(
            Level::Error,
            "k8s_pvc_not_detected",
            "the server's pod mounts no PersistentVolumeClaim at /paperclip",
            Some("Mount a ReadWriteMany claim at /paperclip in the server's container"),
        )];
    };
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace);
    let found = bounded("get", &format!("persistentvolumeclaim/{name}"), api.get(name)).await;
    vec![match found {
        Err(error) => Check::new(Level::Warn, "k8s_pvc_check_failed", error.to_string(), None),
        Ok(claim) => {
            let modes = claim.spec.and_then(|spec| spec.access_modes).unwrap_or_default();
            if modes.iter().any(|mode| mode == "ReadWriteMany") {
                Check::new(
                    Level::Info,
                    "k8s_pvc_rwx",
                    format!("claim {name} is ReadWriteMany"),
                    None,
                )
            } else {
                let hint = "Agents on other nodes cannot mount it: use a ReadWriteMany claim";
                let message = format!("claim {name} is {}, not ReadWriteMany", modes.join(", "));
                Check::new(Level::Warn, "k8s_pvc_not_rwx", message, Some(hint))
            }
        }
    }]
}

/// One question, shorter than in a run.
async fn bounded<T>(
    verb: &'static str,
    on: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ClusterError> {
    match timeout(LIMIT, call(verb, on, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(ClusterError::Timeout {
            verb,
            on: on.to_owned(),
            after: LIMIT,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_server_itself_is_useless_in_a_pod() {
        assert!(api_url(Some("http://localhost:3100")).is_some());
        assert!(api_url(Some("http://127.0.0.1:3100/x")).is_some());
        assert!(api_url(Some("http://paperclip.paperclip.svc:3100")).is_none());
        assert!(api_url(None).is_none());
    }

    #[tokio::test]
    async fn a_request_that_is_no_json_is_a_finding() {
        let checks = probe("{").await;
        assert_eq!((checks.len(), checks[0].level), (1, Level::Error));
    }
}
