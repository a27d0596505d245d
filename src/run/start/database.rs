//! Where the agent's database lies. `execute` decides, the manifest only follows.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use serde_json::json;

use crate::cluster::verbs::{Namespace, call, retry_transient};
use crate::cluster::{Cluster, ClusterError};
use crate::config::{AgentDb, AgentDbMode, POD_ROOT, RunSpec};
use crate::manifest::names;
use crate::run::failure::{Failure, JOB_CREATE_FAILED};
use crate::run::timing::DATABASE_CLAIM;

/// Below the volume's root, beside the run logs.
const FOLDER: &str = "instances/default/opencode-db";

/// Prepares the database of this run; creates the agent's claim where the mode wants one.
///
/// # Errors
/// When the claim cannot be had.
pub async fn prepare(spec: &RunSpec, cluster: &Cluster, namespace: &Namespace) -> Result<AgentDb, Failure> {
    match spec.settings.agent_db_mode {
        AgentDbMode::Ephemeral => Ok(AgentDb::Ephemeral),
        AgentDbMode::WorkspaceSubpath => Ok(subpath(spec)),
        AgentDbMode::DedicatedPvc => {
            let api = Api::namespaced(cluster.client.clone(), &namespace.name);
            let name = claim_name(&spec.run.agent_id);
            ensure_claim(&api, &name, spec).await.map_err(|message| {
                Failure::before_start(
                    JOB_CREATE_FAILED,
                    format!("Failed to ensure agent DB PVC: {message}"),
                )
            })?;
            Ok(AgentDb::Claim(name))
        }
    }
}

/// A folder per company, agent and task; without a task there is nothing to come back to.
fn subpath(spec: &RunSpec) -> AgentDb {
    let Some(task) = spec
        .run
        .task_id
        .as_deref()
        .map(|task| names::sanitize_label_value(task).0)
        .filter(|task| !task.is_empty())
    else {
        return AgentDb::Ephemeral;
    };
    AgentDb::File(format!(
        "{POD_ROOT}/{FOLDER}/{}/{}/{task}/opencode.db",
        spec.run.company_id, spec.run.agent_id
    ))
}

fn claim_name(agent_id: &str) -> String {
    let slug: String = agent_id
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(208)
        .collect();
    format!("opencode-db-{}", slug.trim_matches('-'))
}

async fn ensure_claim(api: &Api<PersistentVolumeClaim>, name: &str, spec: &RunSpec) -> Result<(), String> {
    let on = format!("persistentvolumeclaim/{name}");
    match retry_transient(DATABASE_CLAIM, "get", &on, || call("get", &on, api.get(name))).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.to_string()),
    }
    let Some(class) = &spec.settings.agent_db_storage_class else {
        return Err(
            "agentDbMode dedicated_pvc needs agentDbStorageClass, or use workspace_subpath".to_owned(),
        );
    };
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            names::MANAGED_BY: "paperclip",
            names::AGENT_ID: names::sanitize_label_value(&spec.run.agent_id).0,
            "paperclip.io/pvc-type": "agent-db",
        }},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class,
            "resources": {"requests": {"storage": spec.settings.agent_db_storage_capacity}},
        },
    }))
    .map_err(|error| error.to_string())?;
    let created: Result<_, ClusterError> = call("create", &on, api.create(&Default::default(), &claim)).await;
    match created {
        Ok(_) => {}
        Err(error) if error.is_conflict() => {}
        Err(error) => return Err(error.to_string()),
    }
    // Some admission chains answer success and store nothing.
    retry_transient(DATABASE_CLAIM, "get", &on, || call("get", &on, api.get(name)))
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::claim_name;

    #[test]
    fn the_claim_has_a_valid_name() {
        assert_eq!(claim_name("-AB_c.9-"), "opencode-db-abc9");
    }
}
