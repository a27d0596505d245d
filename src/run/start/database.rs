//! Decides where the agent's database is, and makes its claim where it needs one.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use serde_json::json;

use crate::cluster::verbs::{Namespace, call, retry_required};
use crate::cluster::{Cluster, ClusterError};
use crate::config::{AgentDb, AgentDbMode, POD_ROOT, RunSpec};
use crate::manifest::names;
use crate::run::context::database_task;
use crate::run::failure::{Failure, JOB_CREATE_FAILED};
use crate::run::timing::DATABASE_CLAIM;

/// The folder of databases below the volume's root, beside that of the logs.
const DATABASES_FOLDER: &str = "instances/default/opencode-db";

/// The database of this run. In mode `dedicated_pvc` it creates the agent's claim, if there is none.
///
/// # Errors
/// `k8s_job_create_failed` when there is no claim and none can be created; to repeat the run is of no use where the
/// configuration names no storage class.
pub async fn prepare(spec: &RunSpec, cluster: &Cluster, namespace: &Namespace) -> Result<AgentDb, Failure> {
    match spec.settings.agent_db_mode {
        AgentDbMode::Ephemeral => Ok(AgentDb::Ephemeral),
        AgentDbMode::WorkspaceSubpath => Ok(subpath(spec)),
        AgentDbMode::DedicatedPvc => {
            let api = Api::namespaced(cluster.client(), &namespace.name);
            let name = claim_name(&spec.run.agent_id);
            ensure_claim(namespace, &api, &name, spec).await?;
            Ok(AgentDb::Claim(name))
        }
    }
}

/// A database for each company, agent and task. A run without a task has no later run that would need it.
fn subpath(spec: &RunSpec) -> AgentDb {
    let Some(task) = database_task(&spec.run) else {
        return AgentDb::Ephemeral;
    };
    AgentDb::File(format!(
        "{POD_ROOT}/{DATABASES_FOLDER}/{}/{}/{task}/opencode.db",
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

async fn ensure_claim(
    namespace: &Namespace,
    api: &Api<PersistentVolumeClaim>,
    name: &str,
    spec: &RunSpec,
) -> Result<(), Failure> {
    let failed = |error: ClusterError| Failure::before_start(JOB_CREATE_FAILED, error.to_string());
    let on = format!("persistentvolumeclaim/{name}");
    let get = || retry_required(DATABASE_CLAIM, "get", &on, || call("get", &on, api.get(name)));
    match get().await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(failed(error)),
    }
    let Some(class) = &spec.settings.agent_db_storage_class else {
        return Err(Failure::of_input(
            JOB_CREATE_FAILED,
            "No storage class: agentDbMode dedicated_pvc needs agentDbStorageClass. Set it, or use workspace_subpath",
        ));
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
    .map_err(|error| Failure::before_start(JOB_CREATE_FAILED, error.to_string()))?;
    match namespace.create(api, name, &claim, |_, _| true).await {
        Err(error) if !error.is_conflict() => Err(failed(error)),
        // Some admission chains answer with success and store nothing.
        _ => get().await.map(drop).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::claim_name;

    #[test]
    fn the_claim_has_a_valid_name() {
        assert_eq!(claim_name("-AB_c.9-"), "opencode-db-abc9");
    }
}
