//! Whether the claim that each agent gets for its database can ever have a volume.

use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;

use super::{Check, Level, bounded};
use crate::cluster::{Cluster, ClusterError};
use crate::config::{AgentDbMode, Settings};

/// Nothing where agents get no claim of their own.
pub(super) async fn check(cluster: &Cluster, settings: Option<&Settings>, namespace: &str) -> Option<Check> {
    let settings = settings.filter(|settings| settings.agent_db_mode == AgentDbMode::DedicatedPvc)?;
    let Some(class) = &settings.agent_db_storage_class else {
        return Some(unnamed(namespace));
    };
    let api: Api<StorageClass> = Api::all(cluster.client());
    let on = format!("storageclass/{class}");
    let answer = bounded("get", &on, api.get_metadata(class)).await;
    Some(named(class, namespace, answer.map(drop)))
}

/// A run never leaves it to the cluster's default: there may be none, or one that suits no database.
fn unnamed(namespace: &str) -> Check {
    let message =
        "No storage class: agentDbMode dedicated_pvc needs agentDbStorageClass for the claim of each agent.";
    let hint = format!(
        "Set *Storage class of the database* on the agent's page to one of these, or choose another place under *Where \
         sessions are kept*: kubectl -n {namespace} get storageclass"
    );
    Check::new(
        Level::Error,
        "k8s_agent_db_storage_class_missing",
        message,
        Some(&hint),
    )
}

fn named(class: &str, namespace: &str, answer: Result<(), ClusterError>) -> Check {
    match answer {
        Ok(()) => {
            let message = format!("Storage class {class} exists.");
            Check::new(Level::Info, "k8s_agent_db_storage_class_exists", message, None)
        }
        // An API server that has no such kind of object says that, and not this name.
        Err(ClusterError::Api {
            code: 404, message, ..
        }) if message.contains(class) => {
            let message =
                format!("There is no storage class {class}: no agent would get a volume for its database.");
            let hint = format!(
                "Correct *Storage class of the database* on the agent's page; these are there: kubectl -n {namespace} \
                 get storageclass"
            );
            Check::new(
                Level::Error,
                "k8s_agent_db_storage_class_missing",
                message,
                Some(&hint),
            )
        }
        // The server's Role cannot grant it, and no run needs it.
        Err(error) => {
            let (level, why) = match error.is_not_granted() {
                true => (
                    Level::Info,
                    "the server may not read storage classes, and no run does".to_owned(),
                ),
                false => (Level::Warn, error.to_string()),
            };
            let message = format!("Nobody said whether there is a storage class {class}: {why}");
            let hint = format!("Look whether it is there: kubectl -n {namespace} get storageclass {class}");
            let code = "k8s_agent_db_storage_class_unknown";
            Check::new(level, code, message, Some(&hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::RenderRequest;

    #[test]
    fn what_nobody_could_look_up_is_neither_there_nor_missing() {
        let refused = |code, message: &str| {
            Err(ClusterError::Api {
                verb: "get",
                on: "storageclass/fast".to_owned(),
                code,
                reason: String::new(),
                message: message.to_owned(),
            })
        };
        let of = |answer| {
            let check = named("fast", "n", answer);
            (
                check.level,
                check
                    .code
                    .trim_start_matches("k8s_agent_db_storage_class_")
                    .to_owned(),
            )
        };
        assert_eq!(of(Ok(())), (Level::Info, "exists".to_owned()));
        let gone = "storageclasses.storage.k8s.io \"fast\" not found";
        assert_eq!(of(refused(404, gone)), (Level::Error, "missing".to_owned()));
        for (code, message, level) in [
            (
                403,
                "User \"u\" cannot get resource \"storageclasses\"",
                Level::Info,
            ),
            (
                404,
                "the server could not find the requested resource",
                Level::Warn,
            ),
            (503, "down", Level::Warn),
        ] {
            assert_eq!(
                of(refused(code, message)),
                (level, "unknown".to_owned()),
                "{message}"
            );
            let said = named("fast", "n", refused(code, message));
            assert!(
                level != Level::Info || !said.message.contains("Grant"),
                "{}",
                said.message
            );
        }
    }

    #[test]
    fn a_claim_without_a_class_is_an_error() {
        let request = RenderRequest {
            config: json!({"agentDbMode": "dedicated_pvc"}),
            ..RenderRequest::default()
        };
        let settings = Settings::read(&request).expect("settings");
        assert_eq!(settings.agent_db_mode, AgentDbMode::DedicatedPvc);
        assert_eq!(settings.agent_db_storage_class, None);
        let check = unnamed("n");
        assert!(check.level == Level::Error && check.message.starts_with("No storage class: "));
    }
}
