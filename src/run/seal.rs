//! Whose word a file on the shared volume is. All agents can write there, so what a server writes for another server,
//! or for a later one, carries a seal: a keyed hash over what it is about. The key lies in a Secret of the namespace,
//! which no pod mounts; all servers of the namespace share it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::cluster::verbs::{Namespace, call, retry_required};
use crate::cluster::{Access, Cluster, ClusterError};
use crate::manifest::names;
use crate::run::timing::{SEAL_KEY, SEAL_REFUSAL};

/// The Secret that holds the key.
pub const SECRET: &str = "paperclip-opencode-k8s-seal";
/// The name of the key in it.
const KEY: &str = "key";
/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// What a seal is about: seals of one kind prove nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A server let this run start.
    Start,
    /// A server took this Job over.
    Holder,
    /// A server has reported so much of this run.
    Usage,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Holder => "holder",
            Self::Usage => "usage",
        }
    }
}

/// Seals, and knows its own seals. Without a key it makes none and knows none.
#[derive(Clone, Default)]
pub struct Seal(Option<[u8; BLOCK]>);

impl Seal {
    /// A seal with this key; a short one makes none.
    #[must_use]
    pub fn new(key: &str) -> Self {
        if key.len() < 32 {
            return Self::default();
        }
        let mut block = [0; BLOCK];
        let hashed = Sha256::digest(key);
        for (place, byte) in block.iter_mut().zip(hashed) {
            *place = byte;
        }
        Self(Some(block))
    }

    /// The seal of these facts, in hex; empty without a key.
    #[must_use]
    pub fn of(&self, kind: Kind, facts: &[&str]) -> String {
        let Some(key) = &self.0 else {
            return String::new();
        };
        let padded = |pad: u8| key.map(|byte| byte ^ pad);
        let mut inner = Sha256::new().chain_update(padded(0x36)).chain_update(kind.word());
        for fact in facts {
            // Its length first: two facts are never one.
            inner.update((fact.len() as u64).to_be_bytes());
            inner.update(fact);
        }
        let outer = Sha256::new()
            .chain_update(padded(0x5c))
            .chain_update(inner.finalize());
        hex(&outer.finalize())
    }

    /// Whether this is the seal of these facts. It takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn is_of(&self, seal: &str, kind: Kind, facts: &[&str]) -> bool {
        let own = self.of(kind, facts);
        let differs = own.bytes().zip(seal.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        !own.is_empty() && own.len() == seal.len() && differs == 0
    }
}

/// What the nonce of a run says about it to whoever knows the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start<'a> {
    /// The company.
    pub company: &'a str,
    /// The agent.
    pub agent: &'a str,
    /// The run.
    pub run: &'a str,
    /// The task, as the start record has it; empty without one.
    pub task: &'a str,
    /// The working directory, as the start record has it; empty without one.
    pub cwd: &'a str,
}

impl Start<'_> {
    fn facts<'a>(&'a self, word: &'a str) -> [&'a str; 6] {
        [self.company, self.agent, self.run, self.task, self.cwd, word]
    }
}

impl Seal {
    /// A nonce: this unique word, when it was made (seconds since 1970), and the seal.
    #[must_use]
    pub fn nonce(&self, unique: &str, made: u64, start: &Start<'_>) -> String {
        let word = format!("{unique}.{made}");
        let seal = self.of(Kind::Start, &start.facts(&word));
        format!("{word}.{seal}")
    }

    /// When a server of this namespace made this nonce for this start; `None` when none did.
    #[must_use]
    pub fn made(&self, nonce: &str, start: &Start<'_>) -> Option<u64> {
        let (word, seal) = nonce.rsplit_once('.')?;
        if !self.is_of(seal, Kind::Start, &start.facts(word)) {
            return None;
        }
        word.rsplit_once('.')?.1.parse().ok()
    }
}

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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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

    #[test]
    fn a_seal_is_of_one_key_one_kind_and_these_facts() {
        let seal = Seal::new(&"k".repeat(32));
        let of = seal.of(Kind::Start, &["run", "agent"]);
        assert_eq!(of.len(), 64);
        assert!(seal.is_of(&of, Kind::Start, &["run", "agent"]));
        for (kind, facts) in [
            (Kind::Usage, ["run", "agent"]),
            (Kind::Start, ["runa", "gent"]),
            (Kind::Start, ["run", "other"]),
        ] {
            assert!(!seal.is_of(&of, kind, &facts), "{facts:?}");
        }
        assert!(!seal.is_of(&of[..63], Kind::Start, &["run", "agent"]));
        assert!(!Seal::new(&"l".repeat(32)).is_of(&of, Kind::Start, &["run", "agent"]));
    }

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

    #[test]
    fn a_nonce_is_of_one_start_and_knows_its_time() {
        let start = Start {
            company: "c",
            agent: "a",
            run: "r",
            task: "t",
            cwd: "/w",
        };
        let seal = Seal::new(&"k".repeat(32));
        let nonce = seal.nonce("unique", 1_795_000_000, &start);
        assert_eq!(seal.made(&nonce, &start), Some(1_795_000_000));
        for other in [
            Start { run: "r2", ..start },
            Start { task: "", ..start },
            Start { agent: "b", ..start },
            Start { cwd: "/x", ..start },
        ] {
            assert_eq!(seal.made(&nonce, &other), None, "{other:?}");
        }
        let later = nonce.replace("1795000000", "1795000001");
        assert_eq!(seal.made(&later, &start), None);
        let none = Seal::default();
        assert_eq!(none.made(&none.nonce("unique", 1, &start), &start), None);
    }

    #[test]
    fn without_a_key_nothing_is_known() {
        for none in [Seal::default(), Seal::new("short")] {
            assert_eq!(none.of(Kind::Holder, &["a"]), "");
            assert!(!none.is_of("", Kind::Holder, &["a"]));
        }
    }
}
