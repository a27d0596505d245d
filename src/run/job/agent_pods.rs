//! The pods of an agent, as the API server lists them.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::ClusterError;
use crate::cluster::verbs::{Namespace, retry_transient};

/// Lists the pods with an agent's labels, for at most `limit`; none where pods may not be listed. Nobody has ever seen a
/// pod there, and a run must be possible without that right.
///
/// # Errors
/// When the API server does not answer: then it is unknown which pods there are.
pub async fn list_agent_pods(
    namespace: &Namespace,
    selector: &str,
    limit: Duration,
) -> Result<Vec<Pod>, ClusterError> {
    match retry_transient(limit, "list", "pods", || namespace.list_pods(selector)).await {
        Err(error) if error.is_forbidden() => Ok(Vec::new()),
        listed => listed,
    }
}
