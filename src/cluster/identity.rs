//! Which cluster this is, for records on a volume that several clusters may share.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::client::{Access, Cluster};
use super::verbs::call;

/// The uids of namespaces, each asked for once.
#[derive(Default)]
pub struct Identities(Mutex<HashMap<(Access, String), String>>);

impl Identities {
    /// The uid of the namespace; empty where it may not be read.
    pub async fn of_namespace(&self, cluster: &Cluster, name: &str) -> String {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (cluster.access.clone(), name.to_owned());
        if let Some(uid) = known().get(&key) {
            return uid.clone();
        }
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        let answer = call("get", &format!("namespace/{name}"), namespaces.get(name)).await;
        match answer {
            Ok(namespace) => {
                let uid = namespace.metadata.uid.unwrap_or_default();
                known().insert(key, uid.clone());
                uid
            }
            // Refused now is refused later; anything else may pass.
            Err(error) if error.is_forbidden() => {
                known().insert(key, String::new());
                String::new()
            }
            Err(_) => String::new(),
        }
    }
}
