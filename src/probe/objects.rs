//! Checks of the API server, the server's own pod, the namespace, the Secret and the claim.

use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Secret};
use kube::Api;
use tokio::time::timeout;

use super::{CHECK_LIMIT, Check, Level, bounded};
use crate::cluster::client::Connect;
use crate::cluster::{Access, Cluster, ClusterError, host_pod};
use crate::config::SelfPod;
use crate::run::request::Environment;

/// A client, and whether somebody answers it.
pub(super) async fn reach(connect: &Connect, access: Access) -> Result<(Cluster, Check), Check> {
    let connected = async {
        // A credential plugin may hang while the client is made.
        let cluster = timeout(CHECK_LIMIT, connect.to(access)).await.map_err(|_| {
            ClusterError::Config(format!(
                "no client could be made within {} s: a credential plugin or the disk of the kubeconfig hangs",
                CHECK_LIMIT.as_secs()
            ))
        })??;
        let version = bounded("get", "version", cluster.client.apiserver_version()).await?;
        Ok::<_, ClusterError>((cluster, version))
    };
    match connected.await {
        Ok((cluster, version)) => {
            let message = format!("the API server answers (Kubernetes {})", version.git_version);
            Ok((
                cluster,
                Check::new(Level::Info, "k8s_api_reachable", message, None),
            ))
        }
        Err(error) => {
            let hint = "Check the kubeconfig or the service account of the server's pod, and the network to the API \
                        server. Nothing else was checked";
            let message = error.to_string();
            Err(Check::new(
                Level::Error,
                "k8s_api_unreachable",
                message,
                Some(hint),
            ))
        }
    }
}

/// Reads the server's own pod, from which the agents' pods inherit.
pub(super) async fn own_pod(environment: &Environment, cluster: &Cluster) -> Result<SelfPod, Check> {
    let namespace = environment.namespace.clone().filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| cluster.default_namespace.clone());
    let found = match environment.own_pod() {
        Ok(name) => match timeout(CHECK_LIMIT, host_pod::introspect(cluster, &namespace, name)).await {
            Ok(found) => found.map(|(own, _)| own).map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "the server's own pod {name} could not be read within {} s",
                CHECK_LIMIT.as_secs()
            )),
        },
        Err(failure) => Err(failure.message),
    };
    found.map_err(|message| {
        let hint = "Set POD_NAME and PAPERCLIP_NAMESPACE in the server's Deployment (downward API) and grant `get pods`";
        Check::new(Level::Error, "k8s_self_pod_unknown", message, Some(hint))
    })
}

pub(super) async fn namespace(cluster: &Cluster, name: &str) -> Check {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    match bounded("get", &format!("namespace/{name}"), api.get(name)).await {
        Ok(_) => {
            let message = format!("namespace {name} exists");
            Check::new(Level::Info, "k8s_namespace_exists", message, None)
        }
        Err(error) => {
            let hint = "Jobs run in this namespace: create it, or correct the agent's `namespace` field. Without `get \
                        namespaces` it cannot be told, and runs still work";
            let message = error.to_string();
            Check::new(Level::Warn, "k8s_namespace_check_failed", message, Some(hint))
        }
    }
}

/// The Secret of the agent's `secretRef`.
pub(super) async fn secret(cluster: &Cluster, namespace: &str, name: &str) -> Check {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    match bounded("get", &format!("secret/{name}"), api.get_metadata(name)).await {
        Ok(_) => {
            let message = format!("Secret {name} exists");
            Check::new(Level::Info, "k8s_secret_exists", message, None)
        }
        Err(error) => {
            let hint = "Only needed when agents take credentials from it; `secretRef` names another one";
            Check::new(Level::Warn, "k8s_secret_missing", error.to_string(), Some(hint))
        }
    }
}

/// Checks the claim that agents' pods share with the server.
pub(super) async fn claim(cluster: &Cluster, namespace: &str, own: &SelfPod) -> Check {
    if let Some(expression) = own.data_sub_path_expr.as_deref().filter(|text| !text.is_empty()) {
        let message = format!(
            "the server's mount at /paperclip has the subPathExpr {expression:?}, which a Job cannot repeat"
        );
        let hint = "Mount the volume with a plain subPath, or with none";
        return Check::new(Level::Error, "k8s_pvc_not_detected", message, Some(hint));
    }
    let Some(name) = &own.pvc_claim_name else {
        let message = "the server's pod mounts no PersistentVolumeClaim at /paperclip";
        let hint = "Mount a ReadWriteMany claim at /paperclip in the container `paperclip`";
        return Check::new(Level::Error, "k8s_pvc_not_detected", message, Some(hint));
    };
    if own.namespace != namespace {
        let message = format!(
            "Jobs run in namespace {namespace}, the server and its claim {name} are in {}: a pod mounts claims of its \
             own namespace only",
            own.namespace
        );
        let hint = "Leave `namespace` empty, or make a claim of that name for the same volume there";
        return match look_at(cluster, namespace, name).await {
            Ok(claim) => rwx(name, claim),
            Err(_) => Check::new(Level::Error, "k8s_pvc_not_detected", message, Some(hint)),
        };
    }
    match look_at(cluster, namespace, name).await {
        Ok(claim) => rwx(name, claim),
        Err(error) => {
            let hint = "Grant `get persistentvolumeclaims`; until then it cannot be told whether the claim is ReadWriteMany";
            Check::new(Level::Warn, "k8s_pvc_check_failed", error.to_string(), Some(hint))
        }
    }
}

async fn look_at(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<PersistentVolumeClaim, ClusterError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace);
    bounded("get", &format!("persistentvolumeclaim/{name}"), api.get(name)).await
}

fn rwx(name: &str, claim: PersistentVolumeClaim) -> Check {
    let modes = claim.spec.and_then(|spec| spec.access_modes).unwrap_or_default();
    if modes.iter().any(|mode| mode == "ReadWriteMany") {
        let message = format!("claim {name} is ReadWriteMany");
        return Check::new(Level::Info, "k8s_pvc_rwx", message, None);
    }
    let message = format!("claim {name} is {}, not ReadWriteMany", modes.join(", "));
    let hint = "Agents on other nodes than the server's cannot mount it: use a ReadWriteMany claim";
    Check::new(Level::Warn, "k8s_pvc_not_rwx", message, Some(hint))
}
