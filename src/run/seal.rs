//! Whose word a file on the shared volume is. All agents can write there, so what a server writes for another server,
//! or for a later one, carries a seal: a keyed hash over what it is about. The key lies in a Secret of the namespace,
//! which no pod mounts; all servers of the namespace share it.

mod word;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::time::Instant;

use crate::cluster::verbs::{Namespace, call, retry_required};
use crate::cluster::{Access, Cluster, ClusterError};
use crate::manifest::names;
use crate::run::timing::{SEAL_KEY, SEAL_REFUSAL};
use word::hex;
pub use word::{Kind, Seal, Start};

/// The Secret that holds the key.
pub const SECRET: &str = "paperclip-opencode-k8s-seal";
/// The name of the key in it.
const KEY: &str = "key";

/// The keys of the namespaces that were asked for.
#[derive(Default)]
pub struct Seals(Mutex<HashMap<(Access, String), Known>>);

/// A seal; where the key was refused none, and until when that counts.
type Known = (Seal, Option<Instant>);

impl Seals {
    /// The seal of the namespace. Where a Role refuses the key there is none: then nothing that lies on the volume
    /// counts as a server's word.
    ///
    /// # Errors
    /// When the API server does not answer: a run that starts without a seal could not be told from a forged one.
    pub(crate) async fn of_namespace(
        &self,
        cluster: &Cluster,
        namespace: &Namespace,
    ) -> Result<Seal, ClusterError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (cluster.access.clone(), namespace.name.clone());
        if let Some((seal, until)) = known().get(&place)
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(seal.clone());
        }
        let made = match key(namespace).await {
            Ok(key) => (Seal::new(&key), None),
            // A Role, or a quota, may be changed.
            Err(error) if error.is_forbidden() => (Seal::default(), Some(Instant::now() + SEAL_REFUSAL)),
            Err(error) => return Err(error),
        };
        known().insert(place, made.clone());
        Ok(made.0)
    }
}

/// Reads the key, or makes it: of two servers that make one, both use the one that came first.
async fn key(namespace: &Namespace) -> Result<String, ClusterError> {
    let on = format!("secret/{SECRET}");
    let read = || {
        retry_required(SEAL_KEY, "get", &on, || {
            call("get", &on, namespace.secrets.get(SECRET))
        })
    };
    match read().await {
        Ok(secret) => return Ok(of_secret(&secret)),
        Err(error) if !error.is_not_found() => return Err(error),
        Err(_) => {}
    }
    // Whether this one is made, or another server's was first: the one that is there now is the key.
    match namespace
        .create(&namespace.secrets, SECRET, &new_secret()?, |_, _| true)
        .await
    {
        Err(error) if !error.is_conflict() => Err(error),
        _ => read().await.map(|secret| of_secret(&secret)),
    }
}

fn of_secret(secret: &Secret) -> String {
    let key = secret.data.as_ref().and_then(|data| data.get(KEY));
    key.map(|key| String::from_utf8_lossy(&key.0).into_owned())
        .unwrap_or_default()
}

fn new_secret() -> Result<Secret, ClusterError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random)
        .map_err(|error| ClusterError::Config(format!("no key can be made: {error}")))?;
    let labels = [(names::MANAGED_BY, "paperclip"), (names::COMPONENT, "agent-seal")];
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            labels: Some(
                labels
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), ByteString(hex(&random).into_bytes()))].into()),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An API server that answers with these codes for the key, and then has it.
    fn refusing(codes: &'static [u16]) -> (Cluster, Namespace) {
        let mut codes = codes.iter().copied();
        let key = serde_json::json!({"metadata": {"name": SECRET, "uid": "u"}, "data": {"key": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}});
        let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            let (code, body) = match codes.next() {
                Some(code) => (
                    code,
                    serde_json::json!({"kind": "Status", "status": "Failure", "code": code, "message": "User \"u\" cannot get resource"}),
                ),
                None => (200, key.clone()),
            };
            let mut answer = http::Response::new(kube::client::Body::from(body.to_string().into_bytes()));
            *answer.status_mut() = code.try_into().expect("a status");
            std::future::ready(Ok::<_, std::io::Error>(answer))
        });
        let cluster = Cluster {
            client: kube::Client::new(service, "n").into(),
            default_namespace: "n".to_owned(),
            access: Access::default(),
        };
        let namespace = Namespace::new(&cluster, "n");
        (cluster, namespace)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_the_key_is_not_believed_for_ever() {
        let has_key = async |seals: &Seals, (cluster, namespace): &(Cluster, Namespace)| {
            let seal = seals.of_namespace(cluster, namespace).await.expect("an answer");
            !seal.of(Kind::Start, &["r"]).is_empty()
        };
        let starting = refusing(&[403, 403, 403]);
        assert!(
            has_key(&Seals::default(), &starting).await,
            "it knows its Roles a second later"
        );
        let (seals, refused) = (Seals::default(), refusing(&[403; 5]));
        assert!(!has_key(&seals, &refused).await);
        assert!(
            !has_key(&seals, &refused).await,
            "it is not asked again for each run"
        );
        tokio::time::advance(SEAL_REFUSAL).await;
        assert!(has_key(&seals, &refused).await, "somebody has granted it");
    }
}
