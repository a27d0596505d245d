//! From a kubeconfig or the pod's own account to a client with limits set on purpose.

use std::path::PathBuf;
use std::time::Duration;

use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::ClusterError;
use super::words::chain;

const CONNECT: Duration = Duration::from_secs(5);
/// How long reading a kubeconfig may take, and how large it may be.
const READ: Duration = Duration::from_secs(10);
const LARGEST: u64 = 4 << 20;

/// Where the API server is, as the edge of the program found it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// A kubeconfig: the agent's `kubeconfig` field, else the server's `KUBECONFIG`.
    pub kubeconfig: Option<PathBuf>,
    /// Whether the server runs in a pod (`KUBERNETES_SERVICE_HOST` is set).
    pub in_cluster: bool,
}

/// A connection to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// kube's client.
    pub client: Client,
    /// The namespace of the kubeconfig's context or of the service account.
    pub default_namespace: String,
    /// Tells clusters apart in shared state.
    pub access: Access,
}

impl Cluster {
    /// Reads the configuration and makes a client. Nothing is asked of the API server yet.
    ///
    /// # Errors
    /// [`ClusterError::Config`] with one of three distinct messages: not in a cluster and no kubeconfig; the
    /// account's token is not mounted; the kubeconfig cannot be used.
    pub async fn connect(access: Access) -> Result<Self, ClusterError> {
        let (mut config, source) = match &access.kubeconfig {
            Some(path) => (
                from_file(path.clone()).await?,
                format!("kubeconfig {}", path.display()),
            ),
            None if access.in_cluster => (in_cluster()?, "the pod's service account".to_owned()),
            None => {
                return Err(ClusterError::Config(
                    "not running in a Kubernetes pod (KUBERNETES_SERVICE_HOST is not set) and no kubeconfig is given. \
                     Run Paperclip in the cluster, or set the agent's `kubeconfig` field or KUBECONFIG"
                        .to_owned(),
                ));
            }
        };
        config.connect_timeout = Some(CONNECT);
        // A create must never be repeated behind our back: a 504 may have created the object.
        config.default_retry = false;
        // A proxy of the environment is meant for the internet, not for the API server.
        config.proxy_url = None;
        let agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        config
            .headers
            .push((USER_AGENT, http::HeaderValue::from_static(agent)));
        let default_namespace = config.default_namespace.clone();
        let plugin = config
            .auth_info
            .exec
            .as_ref()
            .and_then(|exec| exec.command.clone());
        let plugin = plugin.map_or_else(String::new, |command| {
            format!(". Its credential plugin is {command}: it must be installed where the server runs, and give a token")
        });
        // An exec credential plugin runs while the client is made, and blocks.
        let client = tokio::task::spawn_blocking(move || Client::try_from(config))
            .await
            .map_err(|error| ClusterError::Config(error.to_string()))?
            .map_err(|error| {
                ClusterError::Config(format!("{source} cannot be used: {}{plugin}", chain(&error)))
            })?;
        Ok(Self {
            client,
            default_namespace,
            access,
        })
    }
}

/// A device or a FIFO would be read for ever, and its content kept in memory.
fn must_be_small_file(path: &std::path::Path) -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own file, read by kube; its links are followed, as Kubernetes mounts it by links"
    )]
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if found.len() > LARGEST {
        return Err(format!(
            "it has {} bytes, a kubeconfig has at most {LARGEST}",
            found.len()
        ));
    }
    Ok(())
}

async fn from_file(path: PathBuf) -> Result<Config, ClusterError> {
    let shown = path.display().to_string();
    let unusable = |message: String| {
        ClusterError::Config(format!(
            "kubeconfig {shown} cannot be used: {message}. It must be readable by the server"
        ))
    };
    let reading = tokio::task::spawn_blocking(move || {
        must_be_small_file(&path)?;
        Kubeconfig::read_from(path).map_err(|error| chain(&error))
    });
    let kubeconfig = tokio::time::timeout(READ, reading)
        .await
        .map_err(|_| unusable(format!("it cannot be read within {} s", READ.as_secs())))?
        .map_err(|error| unusable(error.to_string()))?
        .map_err(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(chain(&error)))
}

fn in_cluster() -> Result<Config, ClusterError> {
    Config::incluster().map_err(|error| {
        ClusterError::Config(format!(
            "the service account of this pod cannot be used: {}. The pod needs automountServiceAccountToken",
            chain(&error)
        ))
    })
}
