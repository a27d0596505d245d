//! Checks of the API server, the server's own pod, the Secret and the claim.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::Api;
use tokio::time::timeout;

use super::commands::Commands;
use super::{CHECK_LIMIT, CLIENT_LIMIT, Check, Level, bounded};
use crate::cluster::client::Connect;
use crate::cluster::{Access, Cluster, ClusterError, host_pod};
use crate::config::SelfPod;
use crate::run::request::Environment;

/// A client, and whether somebody answers it.
pub(super) async fn reach(
    connect: &Connect,
    access: Access,
    commands: &Commands,
) -> Result<(Cluster, Check), Check> {
    let connected = async {
        // A credential plugin may hang while the client is made.
        let cluster = timeout(CLIENT_LIMIT, connect.to(access)).await.map_err(|_| {
            ClusterError::Config(format!(
                "No client in time: none could be made within {} s, a credential plugin or the disk of the kubeconfig \
                 hangs",
                CLIENT_LIMIT.as_secs()
            ))
        })??;
        let version = bounded("get", "version", cluster.client().apiserver_version()).await?;
        Ok::<_, ClusterError>((cluster, version))
    };
    match connected.await {
        Ok((cluster, version)) => {
            let message = format!("The API server answers (Kubernetes {}).", version.git_version);
            Ok((
                cluster,
                Check::new(Level::Info, "k8s_api_reachable", message, None),
            ))
        }
        Err(error) => {
            let hint = format!(
                "Check the kubeconfig or the service account of the server's pod, and the network to the API server. \
                 Nothing else was checked. See what the server has: {}",
                commands.in_server(
                    "env | grep -i -e KUBE -e PROXY; ls /var/run/secrets/kubernetes.io/serviceaccount"
                )
            );
            let message = format!("The Kubernetes API cannot be used: {error}");
            Err(Check::new(
                Level::Error,
                "k8s_api_unreachable",
                message,
                Some(&hint),
            ))
        }
    }
}

/// Reads the server's own pod, from which the agents' pods inherit.
pub(super) async fn own_pod(
    environment: &Environment,
    cluster: &Cluster,
    commands: &Commands,
) -> Result<SelfPod, Check> {
    let namespace = environment.namespace.clone().filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| cluster.default_namespace.clone());
    let commands = commands.in_namespace(&namespace);
    let unknown = |message: String, command: String| {
        let hint = format!(
            "The server needs POD_NAME and PAPERCLIP_NAMESPACE by the downward API, and the right to `get pods`: \
             {command}"
        );
        Check::new(Level::Error, "k8s_self_pod_unknown", message, Some(&hint))
    };
    let name = environment.own_pod().map_err(|failure| {
        unknown(
            format!("The server's own pod is unknown: {}", failure.message),
            commands.name_own_pod(),
        )
    })?;
    match timeout(CHECK_LIMIT, host_pod::introspect(cluster, &namespace, name)).await {
        Ok(Ok((own, _))) => Ok(own),
        Ok(Err(error)) if error.is_transient() => Err(unread(
            format!("The server's own pod {name} could not be read: {error}"),
            &namespace,
            name,
        )),
        Ok(Err(error)) => {
            let command = match error.is_forbidden() {
                true => commands.grant(&namespace),
                false => commands.name_own_pod(),
            };
            Err(unknown(
                format!("The server's own pod cannot be read: {error}"),
                command,
            ))
        }
        Err(_) => {
            let limit = CHECK_LIMIT.as_secs();
            let message = format!("The server's own pod {name} could not be read within {limit} s.");
            Err(unread(message, &namespace, name))
        }
    }
}

/// Nothing is to be set up where only the API server did not answer.
fn unread(message: String, namespace: &str, name: &str) -> Check {
    let hint = format!(
        "Run the test again when the API server is well. Does it answer for that pod: kubectl -n {namespace} get pod \
         {name}"
    );
    Check::new(Level::Error, "k8s_self_pod_unknown", message, Some(&hint))
}

/// The Secret of the agent's `secretRef`.
pub(super) async fn secret(cluster: &Cluster, namespace: &str, name: &str, is_wanted: bool) -> Check {
    let api: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    match bounded("get", &format!("secret/{name}"), api.get_metadata(name)).await {
        Ok(_) => {
            let message = format!("Secret {name} exists.");
            Check::new(Level::Info, "k8s_secret_exists", message, None)
        }
        Err(error) => unfound_secret(namespace, name, is_wanted, &error),
    }
}

/// What nobody could look up is neither there nor missing.
fn unfound_secret(namespace: &str, name: &str, is_wanted: bool, error: &ClusterError) -> Check {
    let (level, code) = match (is_wanted, error.is_not_found()) {
        (true, true) => (Level::Warn, "k8s_secret_missing"),
        (true, false) => (Level::Warn, "k8s_secret_unknown"),
        // A name out of the air: most installations have no such Secret, and no run reads it.
        (false, true) => (Level::Info, "k8s_secret_missing"),
        (false, false) => (Level::Info, "k8s_secret_unknown"),
    };
    let message = match (is_wanted, error.is_not_found()) {
        (true, true) => {
            format!("Secret {name}, which `secretRef` names, is missing in namespace {namespace}.")
        }
        (true, false) => {
            format!("Nobody said whether there is a Secret {name}, which `secretRef` names: {error}")
        }
        (false, true) => format!("There is no Secret {name} here, and none is needed."),
        (false, false) => format!("Nobody said whether there is a Secret {name} here, and none is needed."),
    };
    let hint = match error.is_not_found() {
        true => format!(
            "Make it, or empty the field; runs work without it: kubectl -n {namespace} create secret generic {name} \
             --from-literal=ANTHROPIC_API_KEY=..."
        ),
        false => format!(
            "Runs work without it. Look whether it is there: kubectl -n {namespace} get secret {name}"
        ),
    };
    // Where none is needed and none is there, nothing is to be done.
    let is_to_do = is_wanted || !error.is_not_found();
    Check::new(level, code, message, is_to_do.then_some(hint.as_str()))
}

/// Checks the claim that agents' pods share with the server.
pub(super) async fn claim(cluster: &Cluster, namespace: &str, own: &SelfPod, commands: &Commands) -> Check {
    let detected_not = |message: String, hint: String| {
        Check::new(Level::Error, "k8s_pvc_not_detected", message, Some(&hint))
    };
    if let Some(expression) = own.data_sub_path_expr.as_deref().filter(|text| !text.is_empty()) {
        return detected_not(
            format!(
                "The server's mount at /paperclip has the subPathExpr {expression:?}, which a Job cannot repeat."
            ),
            format!(
                "Mount the volume with a plain subPath, or with none: {}",
                commands.edit_server()
            ),
        );
    }
    let Some(name) = &own.pvc_claim_name else {
        return detected_not(
            "The server's pod mounts no PersistentVolumeClaim at /paperclip.".to_owned(),
            format!(
                "Mount a ReadWriteMany claim there; a new one is empty, so copy what the server has first: {} && {}",
                commands.apply("pvc.yaml", &own.namespace),
                commands.patch_server()
            ),
        );
    };
    let error = match look_at(cluster, namespace, name).await {
        Ok(claim) => return rwx(name, claim, commands),
        Err(error) => error,
    };
    if error.is_not_found() {
        let (message, hint) = absent(name, namespace, own);
        return detected_not(message, hint);
    }
    let message =
        format!("Nobody said whether claim {name} is in namespace {namespace}, and ReadWriteMany: {error}");
    let hint = match error.is_not_granted() {
        true => format!(
            "Grant `get persistentvolumeclaims`: {}",
            commands.grant(namespace)
        ),
        false => format!("Run the test again, or look at it: kubectl -n {namespace} get pvc {name}"),
    };
    Check::new(Level::Warn, "k8s_pvc_check_failed", message, Some(&hint))
}

/// That there is no such claim where Jobs run, and what to do.
fn absent(name: &str, namespace: &str, own: &SelfPod) -> (String, String) {
    let server = &own.namespace;
    if server == namespace {
        let message =
            format!("Claim {name}, which the server's pod mounts, is missing in namespace {namespace}.");
        let hint = format!("No new pod can mount it. These are there: kubectl -n {namespace} get pvc");
        return (message, hint);
    }
    let message = format!(
        "Jobs run in namespace {namespace}, the server and its claim {name} are in {server}: a pod mounts claims of its \
         own namespace only."
    );
    let hint = format!(
        "Leave `namespace` empty, or make a claim of that name for the same volume there. This is the volume: kubectl -n \
         {server} get pvc {name} -o yaml"
    );
    (message, hint)
}

async fn look_at(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<PersistentVolumeClaim, ClusterError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client(), namespace);
    bounded("get", &format!("persistentvolumeclaim/{name}"), api.get(name)).await
}

fn rwx(name: &str, claim: PersistentVolumeClaim, commands: &Commands) -> Check {
    let modes = claim.spec.and_then(|spec| spec.access_modes).unwrap_or_default();
    if modes.iter().any(|mode| mode == "ReadWriteMany") {
        let message = format!("Claim {name} is ReadWriteMany.");
        return Check::new(Level::Info, "k8s_pvc_rwx", message, None);
    }
    let message = format!("Claim {name} is {}, not ReadWriteMany.", modes.join(", "));
    let hint = format!(
        "Agents on other nodes than the server's cannot mount it, and a claim cannot be changed. Mount a \
         ReadWriteMany one, \
         which is empty at first: {} && {}",
        commands.apply("pvc.yaml", commands.namespace()),
        commands.patch_server()
    );
    Check::new(Level::Warn, "k8s_pvc_not_rwx", message, Some(&hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> ClusterError {
        ClusterError::Api {
            verb: "get",
            on: "secret/x".to_owned(),
            code,
            reason: String::new(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_secret_that_nobody_could_look_up_is_neither_there_nor_missing() {
        for (code, message, word) in [
            (404, "secrets \"x\" not found", "missing"),
            (403, "User \"u\" cannot get resource \"secrets\"", "unknown"),
            (503, "down", "unknown"),
        ] {
            for (is_wanted, level) in [(true, Level::Warn), (false, Level::Info)] {
                let check = unfound_secret("n", "x", is_wanted, &answer(code, message));
                assert_eq!(
                    (check.level, check.code),
                    (level, format!("k8s_secret_{word}")),
                    "{message}"
                );
                let is_told_missing =
                    check.message.contains("is missing") || check.message.contains("There is no");
                assert_eq!(is_told_missing, code == 404, "{}", check.message);
                let makes = check
                    .hint
                    .as_deref()
                    .is_some_and(|hint| hint.contains("create secret"));
                assert_eq!(makes, is_wanted && code == 404, "{:?}", check.hint);
                assert!(
                    level == Level::Warn || !check.message.contains("Grant"),
                    "{}",
                    check.message
                );
            }
        }
    }
}
