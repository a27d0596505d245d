//! File work on the shared volume, off the async threads and bounded: a volume that hangs must not hold a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;

/// Runs `work` on a thread that may block; `None` when the volume does not answer within `limit`.
pub async fn on_volume<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    timeout(limit, tokio::task::spawn_blocking(work)).await.ok()?.ok()
}

/// A look at the volume that is repeated: while one hangs, no further thread is given to it.
#[derive(Debug, Clone, Default)]
pub struct Watchman(Arc<AtomicBool>);

impl Watchman {
    /// As [`on_volume`]; `None` also while an earlier look has not come back.
    pub async fn look<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.0.swap(true, Ordering::AcqRel) {
            return None;
        }
        let busy = self.0.clone();
        on_volume(limit, move || {
            let seen = work();
            busy.store(false, Ordering::Release);
            seen
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_volume_that_hangs_gets_one_thread_and_no_patience() {
        let (release, hangs) = mpsc::channel::<()>();
        let watchman = Watchman::default();
        let short = Duration::from_millis(20);
        assert_eq!(watchman.look(short, move || hangs.recv().is_ok()).await, None);
        assert_eq!(watchman.look(short, || true).await, None, "one look at a time");
        release.send(()).expect("still waiting");
        tokio::time::sleep(short).await;
        assert_eq!(watchman.look(Duration::from_secs(5), || true).await, Some(true));
    }
}
