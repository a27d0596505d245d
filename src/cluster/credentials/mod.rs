//! The connection to one API server, and its credentials: whatever changes them (a rewritten kubeconfig, a rotated
//! token or CA, a certificate of minutes, a plugin's next token), all clients of this access go on with the new ones.
//! So nobody who holds a client, a view for days or the sweep for ever, holds old credentials.

mod place;
mod plain_proxy;
mod plugin;
mod sources;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, sleep_until, timeout};

use self::place::must_be_the_operators;
use self::sources::{Sources, logged_in, unusable};
use super::answer;
use super::client::Access;
use super::error_chain::chain;
use crate::metrics;

/// How often the files are read again while requests are made.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a request waits for the files while the credentials it has are good. A hung file system holds nobody up.
const GOOD_WAIT: Duration = Duration::from_secs(1);
/// How long a request waits for credentials. It ends before the limit of a request, so that the message says what
/// hangs.
const LOGIN_WAIT: Duration = Duration::from_secs(12);
/// How long a credential plugin may take.
const PLUGIN_LIMIT: Duration = Duration::from_secs(30);
/// A failed renewal, or one that a 401 asks for, comes no sooner after the one before.
const LOGIN_PAUSE: Duration = Duration::from_secs(5);
/// The same where only files were read: that costs nothing.
const FILES_PAUSE: Duration = Duration::from_secs(1);
/// How long a run that begins waits for usable files, or for a plugin that fails once: whoever renews them may be in the
/// middle of it.
const OPEN_LIMIT: Duration = Duration::from_secs(6);
/// Credentials are renewed so long before their end, but not in the last fifth of a short life.
const RENEWED_BEFORE_END: Duration = Duration::from_secs(60);

type Renewal = Shared<BoxFuture<'static, Result<(), String>>>;

/// A request was not sent: there are no credentials to send it with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoCredentials(String);

/// One connection, shared by all clients of its access.
pub(super) struct Connection {
    access: Access,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// One at a time, however many wait for it. It is a task of its own: whoever stops waiting does not end it.
    renewal: Option<Renewal>,
    /// Why the last renewal failed, and when the next may come.
    failure: Option<(String, Instant)>,
}

/// The client in use.
#[derive(Clone)]
struct Current {
    client: Client,
    namespace: String,
    sources: Arc<Sources>,
    /// Grows with each renewal.
    generation: u64,
    made_at: Instant,
    looked_at: Instant,
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
}

/// Why a renewal is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Because {
    /// The files may have changed.
    Time,
    /// The API server refused the credentials of this generation.
    Refused(u64),
}

impl Connection {
    pub(super) fn new(access: Access) -> Arc<Self> {
        Arc::new(Self {
            access,
            state: Mutex::default(),
        })
    }

    /// Reads the files now, and makes the first client. Returns the namespace of the context or of the service account.
    ///
    /// # Errors
    /// Why there is no usable client.
    pub(super) async fn open(self: &Arc<Self>) -> Result<String, String> {
        let until = Instant::now() + OPEN_LIMIT;
        loop {
            if let Some(current) = &mut self.state().current {
                // A new run takes what the files hold now.
                current.looked_at = current.made_at;
            }
            let failure = self.renewal(Because::Time).await.err();
            let (current, next) = {
                let state = self.state();
                (
                    state.current.clone(),
                    state.failure.as_ref().map(|(_, next)| *next),
                )
            };
            match (current, failure, next) {
                (Some(current), None, _) => return Ok(current.namespace),
                // Where there is no kubeconfig nobody writes one.
                (_, Some(_), Some(next)) if next < until && !self.access.kubeconfigs.is_empty() => {
                    sleep_until(next).await;
                }
                (_, failure, _) => return Err(failure.unwrap_or_default()),
            }
        }
    }

    /// Sends a request with the credentials of now; once more with new ones if these are refused.
    pub(super) async fn send(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<Body>, tower::BoxError> {
        let current = self.current().await.map_err(NoCredentials)?;
        let (parts, body) = request.into_parts();
        let again = body
            .try_clone()
            .map(|body| Request::from_parts(parts.clone(), body));
        let answer = current.client.send(Request::from_parts(parts, body)).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(again) = again
            && let Some(next) = self.after_refusal(current.generation).await
        {
            return answer::checked(next.client.send(again).await?);
        }
        answer::checked(answer)
    }

    async fn current(self: &Arc<Self>) -> Result<Current, String> {
        let known = self.state().current.clone();
        let now = Instant::now();
        let good = known.filter(|current| current.ends_at.is_none_or(|end| now < end));
        let is_fresh = |current: &Current| {
            now < current.looked_at + LOOK_INTERVAL && current.renew_at.is_none_or(|at| now < at)
        };
        match good {
            Some(current) if is_fresh(&current) => Ok(current),
            Some(current) => {
                let _ = timeout(GOOD_WAIT, self.renewal(Because::Time)).await;
                Ok(self.state().current.clone().unwrap_or(current))
            }
            None => {
                let renewed = timeout(LOGIN_WAIT, self.renewal(Because::Time)).await;
                renewed.unwrap_or_else(|_| {
                    let (source, seconds) = (self.access.name(), LOGIN_WAIT.as_secs());
                    Err(format!(
                        "{source} gave none within {seconds} s: its plugin or its files hang"
                    ))
                })?;
                self.state()
                    .current
                    .clone()
                    .ok_or_else(|| "no credentials".to_owned())
            }
        }
    }

    /// Another client, after a 401; nothing if there are no other credentials.
    async fn after_refusal(self: &Arc<Self>, generation: u64) -> Option<Current> {
        let newer = |this: &Self| {
            this.state()
                .current
                .clone()
                .filter(|current| current.generation > generation)
        };
        if let Some(current) = newer(self) {
            return Some(current);
        }
        let _ = timeout(LOGIN_WAIT, self.renewal(Because::Refused(generation))).await;
        newer(self)
    }

    /// The renewal that runs, or a new one.
    fn renewal(self: &Arc<Self>, because: Because) -> Renewal {
        let mut state = self.state();
        if let Some(running) = &state.renewal {
            return running.clone();
        }
        if let Some((why, next)) = &state.failure
            && Instant::now() < *next
        {
            return futures::future::ready(Err(why.clone())).boxed().shared();
        }
        let this = self.clone();
        let known = state.current.clone();
        let task = tokio::spawn(async move {
            let access = this.access.clone();
            let made = tokio::task::spawn_blocking(move || renew(&access, known, because)).await;
            let made = made.unwrap_or_else(|error| Err((error.to_string(), LOGIN_PAUSE)));
            let mut state = this.state();
            state.renewal = None;
            match made {
                Ok(current) => {
                    let known = state.current.as_ref().map(|known| known.generation);
                    if known.is_some_and(|known| known != current.generation) || state.failure.is_some() {
                        metrics::note(|metrics| metrics.credentials_renewed(true));
                        tracing::info!("the credentials of the API server were renewed");
                    }
                    state.failure = None;
                    state.current = Some(current);
                    Ok(())
                }
                Err((why, pause)) => {
                    metrics::note(|metrics| metrics.credentials_renewed(false));
                    // Not why: a plugin may print what it likes, its token too. The run's result says it.
                    tracing::warn!("the credentials of the API server cannot be renewed");
                    state.failure = Some((why.clone(), Instant::now() + pause));
                    Err(why)
                }
            }
        });
        let task = async move { task.await.unwrap_or_else(|error| Err(error.to_string())) };
        let renewal = task.boxed().shared();
        state.renewal = Some(renewal.clone());
        renewal
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client of what the files and the plugin give now; the known one where nothing has changed. Blocks. An error is
/// why there is none, and how long the next attempt is to wait.
fn renew(access: &Access, known: Option<Current>, because: Because) -> Result<Current, (String, Duration)> {
    let now = Instant::now();
    let generation = known.as_ref().map_or(0, |known| known.generation + 1);
    let mut sources = None;
    if known.is_none() {
        // It lies where it lies: nobody waits for another place.
        must_be_the_operators(access).map_err(|why| (why, OPEN_LIMIT))?;
    }
    if let Some(known) = known {
        let is_due = known.renew_at.is_some_and(|at| now >= at);
        let has_plugin = known.sources.config.auth_info.exec.is_some();
        let is_refused =
            because == Because::Refused(known.generation) && has_plugin && now >= known.made_at + LOGIN_PAUSE;
        if !known.sources.have_changed() {
            if !is_due && !is_refused {
                return Ok(Current {
                    looked_at: now,
                    ..known
                });
            }
            sources = Some(known.sources.clone());
        }
    }
    let sources = match sources {
        Some(sources) => sources,
        None => Arc::new(Sources::read(access).map_err(|why| (why, FILES_PAUSE))?),
    };
    let mut config = sources.config.clone();
    let mut valid_for = None;
    if let Some(exec) = config.auth_info.exec.take() {
        let login =
            plugin::login(&exec, PLUGIN_LIMIT).map_err(|why| (unusable(access, &why), LOGIN_PAUSE))?;
        valid_for = login.valid_for;
        config = logged_in(config, login);
    }
    let namespace = config.default_namespace.clone();
    let client =
        plain_proxy::client(config).map_err(|error| (unusable(access, &chain(&error)), FILES_PAUSE))?;
    let made_at = Instant::now();
    Ok(Current {
        client,
        namespace,
        sources,
        generation,
        made_at,
        looked_at: made_at,
        renew_at: valid_for
            .map(|valid| made_at + (valid * 4 / 5).max(valid.saturating_sub(RENEWED_BEFORE_END))),
        ends_at: valid_for.map(|valid| made_at + valid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
         contexts:\n- {name: x, context: {cluster: c, user: u, namespace: n}}\n\
         clusters:\n- {name: c, cluster: {server: 'http://c'}}\nusers:\n- {name: u, user: {tokenFile: token}}\n";

    fn write(path: &std::path::Path, content: &str) {
        #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
        std::fs::write(path, content).expect("written");
    }

    #[tokio::test]
    async fn a_run_that_begins_waits_for_files_that_somebody_is_writing() {
        let folder = tempfile::tempdir().expect("a folder");
        let [path, token] = ["config", "token"].map(|name| folder.path().join(name));
        let half = KUBECONFIG.len() / 2;
        let states = [
            ("", ""),
            (KUBECONFIG.get(..half).expect("a part"), "t"),
            (KUBECONFIG, ""),
            (KUBECONFIG, "t"),
        ];
        let connection = Connection::new(Access {
            kubeconfigs: vec![path.clone()],
            volumes: Vec::new(),
            in_cluster: false,
        });
        // Whoever writes them gets on with each time that they were read.
        let mut states = states.into_iter();
        let mut next = || {
            let (config, content) = states.next().expect("a state");
            write(&path, config);
            write(&token, content);
        };
        next();
        let failures = || connection.state().failure.as_ref().map(|(_, next)| *next);
        let opening = connection.open();
        tokio::pin!(opening);
        let mut seen = None;
        let namespace = loop {
            tokio::select! {
                biased;
                namespace = &mut opening => break namespace,
                () = tokio::task::yield_now() => {
                    if failures() != seen {
                        seen = failures();
                        next();
                    }
                }
            }
        };
        assert_eq!(namespace.as_deref(), Ok("n"));
        assert!(states.next().is_none());
    }
}
