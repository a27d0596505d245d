//! Makes a client from a kubeconfig or from the pod's service account.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;

use super::ClusterError;
use super::answer::NoApiServer;
use super::credentials::{Connection, NoCredentials};
use crate::metrics::RequestCount;

/// How the API server is reached: what the adapter read from the agent's settings and the server's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// The agent's `kubeconfig` field, else the files of the server's `KUBECONFIG`. Several are merged as kubectl does:
    /// the first file that sets a value wins.
    pub kubeconfigs: Vec<PathBuf>,
    /// Whether the server runs in a pod (`KUBERNETES_SERVICE_HOST` is set).
    pub in_cluster: bool,
    /// Where agents write: no kubeconfig is taken from there.
    pub volumes: Vec<PathBuf>,
}

impl Access {
    /// Where the configuration comes from, in words.
    #[must_use]
    pub(super) fn name(&self) -> String {
        if self.kubeconfigs.is_empty() {
            return "the pod's service account".to_owned();
        }
        let files: Vec<String> = self
            .kubeconfigs
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!("kubeconfig {}", files.join(", "))
    }
}

/// What the runs of one access share, while there is one.
type Open = (Weak<Connection>, Weak<Client>);

/// How a server makes its clients.
#[derive(Clone)]
pub struct Connect(Arc<dyn Fn(Access) -> BoxFuture<'static, Result<Cluster, ClusterError>> + Send + Sync>);

impl Default for Connect {
    /// By kubeconfig or service account. Runs of one access share a connection, and so its credentials.
    fn default() -> Self {
        let open: Mutex<HashMap<Access, Open>> = Mutex::default();
        Self::new(move |access: Access| {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|_, (_, client)| client.strong_count() > 0);
            let known = open.get(&access);
            let known =
                known.and_then(|(connection, client)| Some((connection.upgrade()?, client.upgrade()?)));
            let (connection, client) = known.unwrap_or_else(|| {
                let connection = Connection::new(access.clone());
                let client = Arc::new(client_of(connection.clone()));
                (connection, client)
            });
            let both = (Arc::downgrade(&connection), Arc::downgrade(&client));
            open.insert(access.clone(), both);
            Cluster::of(connection, client, access)
        })
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
    /// [`ClusterError::Config`]: why there is no usable client.
    pub async fn to(&self, access: Access) -> Result<Cluster, ClusterError> {
        (self.0)(access).await
    }
}

/// A connection to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// kube's client, which the runs of one access share: 10 KiB each.
    pub client: Arc<Client>,
    /// The namespace of the kubeconfig's context or of the service account.
    pub default_namespace: String,
    /// The key of this cluster in state that runs share.
    pub access: Access,
}

impl Cluster {
    /// Reads the configuration, whose credentials follow what the configuration holds later. Sends
    /// no request to the API server.
    ///
    /// # Errors
    /// [`ClusterError::Config`] with distinct messages: not in a cluster and no kubeconfig; the account's token is not
    /// mounted; the kubeconfig or its credential plugin cannot be used.
    async fn of(
        connection: Arc<Connection>,
        client: Arc<Client>,
        access: Access,
    ) -> Result<Self, ClusterError> {
        let default_namespace = connection.open().await.map_err(ClusterError::Config)?;
        Ok(Self {
            client,
            default_namespace,
            access,
        })
    }

    /// A handle to kube's client.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::clone(&self.client)
    }
}

/// A client that sends its requests over this connection. Every request names its namespace.
fn client_of(connection: Arc<Connection>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let connection = connection.clone();
        async move { counted(connection, request).await }
    });
    Client::new(service, "default")
}

/// Sends a request, and counts it with what came of it.
async fn counted(
    connection: Arc<Connection>,
    request: Request<Body>,
) -> Result<Response<Body>, tower::BoxError> {
    let query = request.uri().query().unwrap_or_default();
    let count = RequestCount::of(request.method().as_str(), request.uri().path(), query);
    let answer = connection.send(request).await;
    match &answer {
        Ok(answer) => count.answered(answer.status().as_u16()),
        Err(error) if error.is::<NoCredentials>() => count.failed("no_credentials"),
        Err(error) if error.is::<NoApiServer>() => count.failed("foreign"),
        Err(_) => count.failed("unreachable"),
    }
    answer
}
