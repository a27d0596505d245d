//! File work on the shared volume, off the async threads and bounded: a volume that hangs must not hold a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Most threads that a volume which hangs can keep. Names are resolved and credential plugins run on threads of the same
/// pool (512): the API server must stay reachable.
const MOST: usize = 64;
static THREADS: Semaphore = Semaphore::const_new(MOST);

/// Runs `work` on a thread that may block; `None` when the volume does not answer within `limit`, or hangs for so many
/// others that no thread is free by then.
pub async fn on_volume<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    within(&THREADS, limit, work).await
}

async fn within<T: Send + 'static>(
    threads: &'static Semaphore,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let on_a_thread = async {
        let thread = threads.acquire().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            // DeliveredLines back when the volume has answered, whether somebody still waits or not.
            let _thread = thread;
            work()
        });
        done.await.ok()
    };
    timeout(limit, on_a_thread).await.ok()?
}

/// A look at the volume that is repeated: while one hangs, no further thread is given to it.
#[derive(Debug, Clone, Default)]
pub struct SingleFlight(Arc<AtomicBool>);

impl SingleFlight {
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
        // Free again with the work, also when it never got a thread.
        let free = Free(busy);
        on_volume(limit, move || {
            let _free = free;
            work()
        })
        .await
    }
}

/// Says that the look is over.
struct Free(Arc<AtomicBool>);

impl Drop for Free {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A bound, not an expectation: a machine may be slow.
    const PATIENCE: Duration = Duration::from_secs(180);

    #[tokio::test]
    async fn a_volume_that_hangs_gets_one_thread_and_no_patience() {
        let (release, hangs) = mpsc::channel::<()>();
        let (watchman, since) = (Watchman::default(), tokio::time::Instant::now());
        let short = Duration::from_millis(20);
        assert_eq!(
            single_flight.look(short, move || hangs.recv().is_ok()).await,
            None
        );
        assert_eq!(
            single_flight.look(short, || true).await,
            None,
            "one look at a time"
        );
        release.send(()).expect("still waiting");
        // The look that hung ends when its thread has its turn.
        while watchman.look(PATIENCE, || true).await != Some(true) {
            assert!(since.elapsed() < PATIENCE);
            tokio::time::sleep(short).await;
        }
    }

    #[tokio::test]
    async fn a_volume_that_hangs_keeps_a_bounded_number_of_threads() {
        static TWO: Semaphore = Semaphore::const_new(2);
        let short = Duration::from_millis(20);
        let mut stuck = Vec::new();
        for _ in 0..2 {
            let (release, hangs) = mpsc::channel::<()>();
            stuck.push(release);
            assert_eq!(within(&TWO, short, move || hangs.recv().is_ok()).await, None);
        }
        let started = Arc::new(AtomicBool::new(false));
        let seen = started.clone();
        assert_eq!(
            within(&TWO, short, move || seen.store(true, Ordering::Release)).await,
            None
        );
        drop(stuck);
        assert_eq!(within(&TWO, PATIENCE, || 1).await, Some(1));
        assert!(
            !started.load(Ordering::Acquire),
            "what nobody waits for is not begun"
        );
    }

    #[tokio::test]
    async fn a_look_that_got_no_thread_does_not_block_the_next() {
        let single_flight = SingleFlight::default();
        let all = THREADS
            .acquire_many(u32::try_from(MOST).expect("few"))
            .await
            .expect("open");
        assert_eq!(single_flight.look(Duration::from_millis(20), || true).await, None);
        drop(all);
        assert_eq!(watchman.look(PATIENCE, || true).await, Some(true));
    }
}
