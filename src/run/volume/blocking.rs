//! File work on the shared volume, off the async threads and bounded: a volume that hangs must not hold a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::tail::source::{FileSource, LogSource};

/// Most threads that a volume which hangs can keep. Names are resolved and credential plugins run on threads of the same
/// pool (512): the API server must stay reachable.
const MOST: usize = 64;

/// A piece of work on the volume.
pub type Work = Box<dyn FnOnce() + Send>;

/// Who works on the volume. A simulation has its own, which answers late, or never.
pub trait Workers: Send + Sync {
    /// Does it, and resolves when it is done, or will not be.
    fn begin(&self, work: Work) -> BoxFuture<'static, ()>;

    /// The log that is to be followed.
    fn log(&self, file: FileSource) -> Box<dyn LogSource> {
        Box::new(file)
    }
}

/// The shared volume of a server: work on it is bounded in time. Cheap to clone.
#[derive(Clone)]
pub struct Volume(Arc<dyn Workers>);

/// Where a server sees the shared volume, and who works on it.
#[derive(Clone)]
pub struct DataRoot {
    /// The folder that pods see at `/paperclip`.
    pub path: PathBuf,
    /// Who works on it.
    pub volume: Volume,
}

/// Threads that may block, so many at a time.
struct Threads(Arc<Semaphore>);

impl Workers for Threads {
    fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
        let threads = self.0.clone();
        Box::pin(async move {
            let Ok(thread) = threads.acquire_owned().await else {
                return;
            };
            let done = tokio::task::spawn_blocking(move || {
                // Given back when the volume has answered, whether somebody still waits or not.
                let _thread = thread;
                work();
            });
            let _ = done.await;
        })
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self::with_threads(MOST)
    }
}

impl Volume {
    /// Worked on by these.
    pub fn new(workers: impl Workers + 'static) -> Self {
        Self(Arc::new(workers))
    }

    fn with_threads(most: usize) -> Self {
        Self::new(Threads(Arc::new(Semaphore::new(most))))
    }

    /// Runs `work` where it may block; `None` when the volume does not answer within `limit`, or hangs for so many others
    /// that nobody is free by then.
    pub async fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, mut answered) = oneshot::channel();
        let work = Box::new(move || {
            let _ = answer.send(work());
        });
        timeout(limit, self.0.begin(work)).await.ok()?;
        answered.try_recv().ok()
    }

    /// The log in this file, to be followed.
    #[must_use]
    pub fn log(&self, file: FileSource) -> Box<dyn LogSource> {
        self.0.log(file)
    }
}

/// A look at the volume that is repeated: while one hangs, no further thread is given to it.
#[derive(Debug, Clone, Default)]
pub struct SingleFlight(Arc<AtomicBool>);

impl SingleFlight {
    /// As [`Volume::within`]; `None` also while an earlier look has not come back.
    pub async fn look<T: Send + 'static>(
        &self,
        volume: &Volume,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.0.swap(true, Ordering::AcqRel) {
            return None;
        }
        let busy = self.0.clone();
        // Free again with the work, also when it never got a thread.
        let free = Free(busy);
        let looked = volume.within(limit, move || {
            let _free = free;
            work()
        });
        looked.await
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
        let (volume, single_flight) = (Volume::default(), SingleFlight::default());
        let since = tokio::time::Instant::now();
        let short = Duration::from_millis(20);
        assert_eq!(
            single_flight
                .look(&volume, short, move || hangs.recv().is_ok())
                .await,
            None
        );
        assert_eq!(
            single_flight.look(&volume, short, || true).await,
            None,
            "one look at a time"
        );
        release.send(()).expect("still waiting");
        // The look that hung ends when its thread has its turn.
        while single_flight.look(&volume, PATIENCE, || true).await != Some(true) {
            assert!(since.elapsed() < PATIENCE);
            tokio::time::sleep(short).await;
        }
    }

    #[tokio::test]
    async fn a_volume_that_hangs_keeps_a_bounded_number_of_threads() {
        let two = Volume::with_threads(2);
        let short = Duration::from_millis(20);
        let mut stuck = Vec::new();
        for _ in 0..2 {
            let (release, hangs) = mpsc::channel::<()>();
            stuck.push(release);
            assert_eq!(two.within(short, move || hangs.recv().is_ok()).await, None);
        }
        let started = Arc::new(AtomicBool::new(false));
        let seen = started.clone();
        assert_eq!(
            two.within(short, move || seen.store(true, Ordering::Release))
                .await,
            None
        );
        drop(stuck);
        assert_eq!(two.within(PATIENCE, || 1).await, Some(1));
        assert!(
            !started.load(Ordering::Acquire),
            "what nobody waits for is not begun"
        );
    }

    #[tokio::test]
    async fn a_look_that_got_no_thread_does_not_block_the_next() {
        let threads = Arc::new(Semaphore::new(1));
        let volume = Volume::new(Threads(threads.clone()));
        let single_flight = SingleFlight::default();
        let all = threads.acquire().await.expect("open");
        assert_eq!(
            single_flight
                .look(&volume, Duration::from_millis(20), || true)
                .await,
            None
        );
        drop(all);
        assert_eq!(single_flight.look(&volume, PATIENCE, || true).await, Some(true));
    }
}
