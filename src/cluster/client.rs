//! Makes a client from a kubeconfig or from the pod's service account.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::ClusterError;
use super::error_chain::chain;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long reading the kubeconfigs may take, and how large each may be.
const READ_LIMIT: Duration = Duration::from_secs(10);
const MAX_KUBECONFIG_BYTES: u64 = 4 << 20;

/// How the API server is reached: what the adapter read from the agent's settings and the server's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The agent's `kubeconfig` field, else the files of the server's `KUBECONFIG`. Several are merged as kubectl does:
    /// the first file that sets a value wins.
    pub kubeconfigs: Vec<PathBuf>,
    /// Whether the server runs in a pod (`KUBERNETES_SERVICE_HOST` is set).
    pub in_cluster: bool,
}

/// How a server makes its clients.
#[derive(Clone)]
pub struct Connect(Arc<dyn Fn(Access) -> BoxFuture<'static, Result<Cluster, ClusterError>> + Send + Sync>);

impl Default for Connect {
    fn default() -> Self {
        Self::new(Cluster::connect)
    }
}

impl Connect {
    /// Makes them in this way.
    pub fn new<F>(connect: impl Fn(Access) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Cluster, ClusterError>> + Send + 'static,
    {
        Self(Arc::new(move |access| Box::pin(connect(access))))
    }

    /// A client of the cluster there.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn to(&self, access: Access) -> Result<Cluster, ClusterError> {
        (self.0)(access).await
    }
}

/// A connection to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// kube's client.
    pub client: Client,
    /// The namespace of the kubeconfig's context or of the service account.
    pub default_namespace: String,
    /// The key of this cluster in state that runs share.
    pub access: Access,
}

impl Cluster {
    /// Reads the configuration and makes a client. Sends no request to the API server.
    ///
    /// # Errors
    /// [`ClusterError::Config`] with one of three distinct messages: not in a cluster and no kubeconfig; the
    /// account's token is not mounted; the kubeconfig cannot be used.
    pub async fn connect(access: Access) -> Result<Self, ClusterError> {
        let (mut config, source) = match access.kubeconfigs.as_slice() {
            [] if access.in_cluster => (in_cluster()?, "the pod's service account".to_owned()),
            [] => {
                return Err(ClusterError::Config(
                    "not running in a Kubernetes pod (KUBERNETES_SERVICE_HOST is not set) and no kubeconfig is given. \
                     Run Paperclip in the cluster, or set the agent's `kubeconfig` field or KUBECONFIG"
                        .to_owned(),
                ));
            }
            files => (from_files(files).await?, format!("kubeconfig {}", shown(files))),
        };
        config.connect_timeout = Some(CONNECT_LIMIT);
        // kube must not repeat a create: a request that failed with a 504 may have created the object.
        config.default_retry = false;
        // A proxy in the environment is for the internet, not for the API server.
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

/// A device or a FIFO would be read for ever, into memory.
fn must_be_small_file(path: &std::path::Path) -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the operator's own file, read by kube; its links are followed, as Kubernetes mounts it by links"
    )]
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if found.len() > MAX_KUBECONFIG_BYTES {
        return Err(format!(
            "it has {} bytes, a kubeconfig has at most {MAX_KUBECONFIG_BYTES}",
            found.len()
        ));
    }
    Ok(())
}

fn shown(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    files.join(", ")
}

async fn from_files(files: &[PathBuf]) -> Result<Config, ClusterError> {
    let all = shown(files);
    let unusable = |message: String| {
        ClusterError::Config(format!(
            "kubeconfig {all} cannot be used: {message}. It must be readable by the server"
        ))
    };
    let files = files.to_vec();
    let reading = tokio::task::spawn_blocking(move || read(&files));
    let kubeconfig = tokio::time::timeout(READ_LIMIT, reading)
        .await
        .map_err(|_| unusable(format!("it cannot be read within {} s", READ_LIMIT.as_secs())))?
        .map_err(|error| unusable(error.to_string()))?
        .map_err(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(chain(&error)))
}

/// Reads and merges the files. Where there are several, those that do not exist are skipped, as kubectl does.
fn read(files: &[PathBuf]) -> Result<Kubeconfig, String> {
    let mut merged = None;
    for path in files {
        if files.len() > 1 && matches!(path.try_exists(), Ok(false)) {
            continue;
        }
        must_be_small_file(path)?;
        let next = Kubeconfig::read_from(path).map_err(|error| chain(&error))?;
        merged = Some(match merged {
            None => next,
            Some(earlier) => Kubeconfig::merge(earlier, next).map_err(|error| chain(&error))?,
        });
    }
    merged.ok_or_else(|| "none of these files exists".to_owned())
}

fn in_cluster() -> Result<Config, ClusterError> {
    Config::incluster().map_err(|error| {
        ClusterError::Config(format!(
            "the service account of this pod cannot be used: {}. The pod needs automountServiceAccountToken",
            chain(&error)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "apiVersion: v1\nkind: Config\ncurrent-context: one\ncontexts:\n- {name: one, context: {cluster: c, user: u}}\n";
    const SECOND: &str = "apiVersion: v1\nkind: Config\ncurrent-context: two\nclusters:\n- {name: c, cluster: {server: 'https://c'}}\n";

    #[test]
    fn several_files_are_merged_and_the_first_value_wins() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
            std::fs::write(&path, content).expect("written");
            path
        };
        let (first, second) = (file("first", FIRST), file("second", SECOND));
        let absent = folder.path().join("absent");
        let merged = read(&[absent.clone(), first, second]).expect("a kubeconfig");
        assert_eq!(merged.current_context.as_deref(), Some("one"));
        assert_eq!((merged.contexts.len(), merged.clusters.len()), (1, 1));
        assert!(read(std::slice::from_ref(&absent)).is_err_and(|error| error.contains("No such file")));
        assert!(read(&[absent.clone(), absent]).is_err_and(|error| error.contains("none of these files")));
    }
}
