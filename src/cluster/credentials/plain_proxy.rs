//! An API server by plain HTTP behind a proxy. Such a proxy is sent the request with its whole address, as by kubectl;
//! kube asks for a tunnel (CONNECT), which many proxies make for TLS only.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

/// A client of this configuration.
pub(super) fn client(config: Config) -> kube::Result<Client> {
    let is_plain = config.cluster_url.scheme_str() == Some("http");
    match &config.proxy_url {
        Some(proxy) if is_plain && matches!(proxy.scheme_str(), Some("http" | "https")) => {
            let proxy = proxy.clone();
            forwarded(config, proxy)
        }
        _ => Client::try_from(config),
    }
}

/// A client that sends its requests to the proxy, which passes them on.
fn forwarded(mut config: Config, proxy: Uri) -> kube::Result<Client> {
    config
        .headers
        .extend(authorization(&proxy).map(|value| (PROXY_AUTHORIZATION, value)));
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    let to_proxy = config.rustls_https_connector_with_connector(tcp)?;
    let connector = tower::service_fn(move |_: Uri| {
        let connecting = to_proxy.clone().oneshot(proxy.clone());
        async move { Ok::<_, BoxError>(TokioIo::new(ToProxy(TokioIo::new(connecting.await?)))) }.boxed()
    });
    let client =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// User and password of the proxy's address.
fn authorization(proxy: &Uri) -> Option<HeaderValue> {
    let (user, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let user: Vec<u8> = percent_decode_str(user).collect();
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A connection to a proxy: requests on it carry their whole address.
struct ToProxy<S>(S);

impl<S> Connection for ToProxy<S> {
    fn connected(&self) -> Connected {
        Connected::new().proxy(true)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ToProxy<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ToProxy<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::ClusterError;

    /// A proxy that answers its first request so. Gives what the client had of it, and the request as it came.
    async fn asked(server: &str, answer: &'static str) -> (kube::Result<String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let proxy = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.expect("a request");
            }
            stream.write_all(answer.as_bytes()).await.expect("answered");
            String::from_utf8_lossy(&request).into_owned()
        });
        let mut config = Config::new(server.parse().expect("an address"));
        config.proxy_url = Some(
            format!("http://me:p%40ss@127.0.0.1:{port}")
                .parse()
                .expect("an address"),
        );
        let client = client(config).expect("a client");
        let request = Request::get("/version").body(Vec::new()).expect("a request");
        let answered = client.request_text(request).await;
        (answered, proxy.await.expect("a request"))
    }

    #[tokio::test]
    async fn a_proxy_passes_on_what_goes_by_plain_http() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let (answered, request) = asked("http://api.invalid:8080", answer).await;
        assert_eq!(answered.expect("an answer"), "{}");
        assert!(
            request.starts_with("GET http://api.invalid:8080/version HTTP/1.1\r\n"),
            "{request}"
        );
        // "me:p@ss"
        assert!(
            request.contains("proxy-authorization: Basic bWU6cEBzcw=="),
            "{request}"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_makes_no_tunnel_is_named() {
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        let (answered, request) = asked("https://api.invalid:6443", answer).await;
        assert!(request.starts_with("CONNECT api.invalid:6443 "), "{request}");
        let error = ClusterError::from_kube("list", "jobs", &answered.expect_err("refused"));
        assert_eq!(error.class(), "Proxy makes no connection");
        assert!(error.to_string().contains("`proxy-url`"), "{error}");
    }
}
