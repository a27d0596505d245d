//! Gives the metrics to Prometheus: by HTTP on a loopback address, or as a file. On one thread of its own, which keeps
//! no process alive and shares nothing with the runs but the counters.

mod file;
mod http;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::Instant;

use super::Look;
use crate::metrics;

/// Where the metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `GET /metrics` is answered there.
    Http(SocketAddr),
    /// Written there.
    File(PathBuf),
}

/// Renders the metrics.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

impl Place {
    /// Reads what the server's environment says.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(100).collect();
        if text.starts_with('/') {
            let path = PathBuf::from(text);
            return match path.file_name() {
                Some(_) if !text.ends_with('/') => Ok(Self::File(path)),
                _ => Err(format!("names no file: {shown}. Write an absolute path of one")),
            };
        }
        let Ok(address) = text.parse::<SocketAddr>() else {
            return Err(format!(
                "no address and no file: {shown}. Write 127.0.0.1:9464, or an absolute path"
            ));
        };
        if !address.ip().is_loopback() {
            return Err(format!(
                "not a loopback address: {shown}. Metrics have no password: write 127.0.0.1:{0}, and let a proxy or \
                 an agent beside the server read them",
                address.port()
            ));
        }
        Ok(Self::Http(address))
    }
}

/// Begins to export; the value says where to.
///
/// # Errors
/// Why nothing can be exported: a port that is in use, or no thread.
pub fn start(place: Place, look: Look) -> Result<String, String> {
    let render: Render = Arc::new(move || {
        let text = metrics::of_process().map(|metrics| metrics.text(look(), Instant::now()));
        text.unwrap_or_default()
    });
    match place {
        Place::File(path) => {
            let at = path.display().to_string();
            on_thread(move || Ok(file::write_on(path, render)))?;
            Ok(at)
        }
        Place::Http(address) => {
            let listener = listen(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
            let at = listener.local_addr().unwrap_or(address);
            on_thread(move || Ok(http::serve(tokio::net::TcpListener::from_std(listener)?, render)))?;
            Ok(format!("http://{at}/metrics"))
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Runs `work` until the process ends.
fn on_thread<F: Future<Output = ()>>(
    work: impl FnOnce() -> std::io::Result<F> + Send + 'static,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let runtime = runtime.map_err(|error| format!("no runtime to export with: {error}"))?;
    let run = move || {
        runtime.block_on(async {
            match work() {
                Ok(work) => work.await,
                Err(error) => tracing::error!(%error, "metrics are not exported"),
            }
        });
    };
    let thread = std::thread::Builder::new().name("opencode-metrics".to_owned());
    let spawned = thread.spawn(run).map(drop);
    spawned.map_err(|error| format!("no thread to export with: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Looked;

    #[test]
    fn only_loopback_addresses_and_absolute_files_are_places() {
        let http = |text: &str| Ok(Place::Http(text.parse().expect("an address")));
        assert_eq!(Place::parse("127.0.0.1:9464"), http("127.0.0.1:9464"));
        assert_eq!(Place::parse("[::1]:9464"), http("[::1]:9464"));
        assert_eq!(
            Place::parse("/var/lib/x.prom"),
            Ok(Place::File("/var/lib/x.prom".into()))
        );
        for refused in [
            "0.0.0.0:9464",
            "10.0.0.7:9464",
            "[::]:9464",
            "[::ffff:127.0.0.1]:9464",
            "localhost:9464",
            "127.0.0.1",
            ":9464",
            "9464",
            "metrics.prom",
            "./metrics.prom",
            "/var/lib/",
            "/",
            "http://127.0.0.1:9464/metrics",
            "127.0.0.1:99999",
        ] {
            assert!(Place::parse(refused).is_err(), "{refused}");
        }
        let why = Place::parse("0.0.0.0:9464").expect_err("refused");
        assert!(why.starts_with("not a loopback address: 0.0.0.0:9464."), "{why}");
        assert!(Place::parse(&"x".repeat(9_000)).expect_err("refused").len() < 300);
    }

    #[test]
    fn a_port_in_use_is_said_and_nothing_more() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("its address");
        let refused = start(Place::Http(address), Arc::new(Looked::default));
        let why = refused.expect_err("in use");
        assert!(why.starts_with(&format!("cannot listen on {address}")), "{why}");
    }
}
