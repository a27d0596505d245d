//! One request with its limit, and requests that are repeated.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::cluster::ClusterError;

/// How long one request may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(15);
const FIRST_RETRY_AFTER: Duration = Duration::from_millis(250);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);
/// How long a refusal may be that of an API server which does not know its Roles yet.
pub(in crate::cluster) const UNREADY_LIMIT: Duration = Duration::from_secs(5);
/// How long credentials may be refused: whoever renews them may be later than the API server that refuses the old ones.
pub(super) const RENEWAL_LIMIT: Duration = Duration::from_secs(15);

/// One request, at most [`CALL_LIMIT`] long.
///
/// # Errors
/// What the API server answered, or that it did not.
pub fn call<T>(
    verb: &'static str,
    on: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> impl Future<Output = Result<T, ClusterError>> {
    // 8 KiB, which whoever may ask something would hold for as long as it does anything at all.
    let request = Box::pin(request);
    async move {
        let error = match timeout(CALL_LIMIT, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => ClusterError::from_kube(verb, on, &error),
            Err(_) => ClusterError::Timeout {
                verb,
                on: on.to_owned(),
                after: CALL_LIMIT,
            },
        };
        Err(error.logged(verb, on))
    }
}

/// The waits between the attempts of a request: each twice as long as the one before, up to [`MAX_RETRY_AFTER`].
pub(in crate::cluster) struct Backoff {
    until: Instant,
    wait: Duration,
}

impl Backoff {
    pub(in crate::cluster) fn new(limit: Duration) -> Self {
        Self {
            until: Instant::now() + limit,
            wait: FIRST_RETRY_AFTER,
        }
    }

    /// Waits before the next attempt; false when there is no time for one.
    pub(in crate::cluster) async fn wait(&mut self) -> bool {
        if Instant::now() + self.wait >= self.until {
            return false;
        }
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(MAX_RETRY_AFTER);
        true
    }
}

/// As [`retry_transient`], for what no run can do without: for a few seconds a refusal is repeated, too, because an
/// API server that has just started may not know its Roles yet.
///
/// # Errors
/// The last failure.
pub async fn retry_required<T, F>(
    limit: Duration,
    verb: &'static str,
    on: &str,
    mut request: impl FnMut() -> F,
) -> Result<T, ClusterError>
where
    F: Future<Output = Result<T, ClusterError>>,
{
    let mut unready = Backoff::new(UNREADY_LIMIT.min(limit));
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match retry_transient(left, verb, on, &mut request).await {
            Err(error) if error.may_be_unready() && unready.wait().await => {}
            answer => return answer,
        }
    }
}

/// Repeats an idempotent request while its failure is transient; for [`RENEWAL_LIMIT`] also while credentials are
/// refused. All attempts together take at most `limit`.
///
/// # Errors
/// The last failure.
pub async fn retry_transient<T, F>(
    limit: Duration,
    verb: &'static str,
    on: &str,
    mut request: impl FnMut() -> F,
) -> Result<T, ClusterError>
where
    F: Future<Output = Result<T, ClusterError>>,
{
    let mut backoff = Backoff::new(limit);
    let mut renewal = None;
    let mut last = None;
    loop {
        let Ok(answer) = timeout_at(backoff.until, request()).await else {
            return Err(last.unwrap_or_else(|| ClusterError::Timeout {
                verb,
                on: on.to_owned(),
                after: limit,
            }));
        };
        match answer {
            Err(error) if error.is_transient() && backoff.wait().await => last = Some(error),
            Err(error)
                if error.is_unauthorized()
                    && renewal
                        .get_or_insert_with(|| Backoff::new(RENEWAL_LIMIT.min(limit)))
                        .wait()
                        .await =>
            {
                last = Some(error);
            }
            answer => return answer,
        }
    }
}
