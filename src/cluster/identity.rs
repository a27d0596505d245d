//! Which cluster this is: several clusters may share a volume, and a start record on it names its cluster.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use tokio::time::Instant;

use super::client::{Access, Cluster};
use super::verbs::{call, retry_transient};

/// A run that does not know its cluster leaves files that nobody can tell from another cluster's: nothing is reported
/// of them, and no sweep removes them.
const UID_LIMIT: Duration = Duration::from_secs(20);
/// How long a refusal is remembered. An API server that has just started refuses what it grants a little later.
const REFUSAL_HOLDS: Duration = Duration::from_secs(300);

/// The uids of namespaces that were asked for.
#[derive(Default)]
pub struct Identities(Mutex<HashMap<(Access, String), Known>>);

struct Known {
    uid: String,
    /// Set for a refusal: a Role may be changed.
    until: Option<Instant>,
}

impl Identities {
    /// The uid of the namespace; empty where it cannot be read. An answer is remembered, a refusal for some minutes.
    pub async fn of_namespace(&self, cluster: &Cluster, name: &str) -> String {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (cluster.access.clone(), name.to_owned());
        if let Some(known) = known().get(&key)
            && known.until.is_none_or(|until| Instant::now() < until)
        {
            return known.uid.clone();
        }
        let namespaces: Api<Namespace> = Api::all(cluster.client());
        let on = format!("namespace/{name}");
        let answer = retry_transient(UID_LIMIT, "get", &on, || call("get", &on, namespaces.get(name)));
        let (uid, until) = match answer.await {
            Ok(namespace) => (namespace.metadata.uid.unwrap_or_default(), None),
            Err(error) if error.is_forbidden() => (String::new(), Some(Instant::now() + REFUSAL_HOLDS)),
            // Any other error may pass.
            Err(_) => return String::new(),
        };
        let answer = Known {
            uid: uid.clone(),
            until,
        };
        known().insert(key, answer);
        uid
    }
}
