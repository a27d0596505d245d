//! Which cluster this is: several clusters may share a volume, and a start record on it names its cluster.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::client::{Access, Cluster};
use super::verbs::{call, retry_transient};

/// A run that does not know its cluster leaves files that nobody can tell from another cluster's: nothing is told of them, and
/// no sweep removes them.
const PATIENCE: Duration = Duration::from_secs(20);

/// The uids of namespaces that were asked for.
#[derive(Default)]
pub struct Identities(Mutex<HashMap<(Access, String), String>>);

impl Identities {
    /// The uid of the namespace; empty where it cannot be read. An answer, and a refusal, are remembered.
    pub async fn of_namespace(&self, cluster: &Cluster, name: &str) -> String {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (cluster.access.clone(), name.to_owned());
        if let Some(uid) = known().get(&key) {
            return uid.clone();
        }
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        let on = format!("namespace/{name}");
        let answer = retry_transient(PATIENCE, "get", &on, || call("get", &on, namespaces.get(name)));
        match answer.await {
            Ok(namespace) => {
                let uid = namespace.metadata.uid.unwrap_or_default();
                known().insert(key, uid.clone());
                uid
            }
            // A refusal stays; any other error may pass.
            Err(error) if error.is_forbidden() => {
                known().insert(key, String::new());
                String::new()
            }
            Err(_) => String::new(),
        }
    }
}
