//! Calls to the shared volume, on threads that may block and with a limit: a volume that hangs must not hold a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::metrics;
use crate::run::timing::VOLUME_RETRY_PAUSE;
use crate::tail::source::{FileSource, LogSource, RunFiles, SourceError};

/// Most threads for calls to a volume. They come from the runtime's pool of 512, on which names are resolved and
/// credential plugins run, too: a volume that hangs must not keep the API server from being reached.
const MAX_THREADS: usize = 64;

/// Calls to the volume that may block.
pub type Work = Box<dyn FnOnce() + Send>;

/// Runs calls to the volume: on threads, or in a simulation that answers late or never.
pub trait Workers: Send + Sync {
    /// Runs `work`; resolves when it is done, or will never be.
    fn begin(&self, work: Work) -> BoxFuture<'static, ()>;

    /// The source of a log that is followed.
    fn log(&self, file: FileSource) -> Box<dyn LogSource> {
        Box::new(file)
    }
}

/// The shared volume of a server; every call has a limit. Cheap to clone.
#[derive(Clone)]
pub struct Volume(Arc<dyn Workers>);

/// Where a server sees the shared volume.
#[derive(Clone)]
pub struct DataRoot {
    /// The folder that pods see at `/paperclip`.
    pub path: PathBuf,
    /// The volume.
    pub volume: Volume,
}

/// A limited number of threads that may block.
struct Threads(Arc<Semaphore>);

impl Workers for Threads {
    fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
        let threads = self.0.clone();
        Box::pin(async move {
            let Ok(thread) = threads.acquire_owned().await else {
                return;
            };
            let done = tokio::task::spawn_blocking(move || {
                // The thread is free again when the volume has answered, whether somebody still waits or not.
                let _thread = thread;
                work();
            });
            let _ = done.await;
        })
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self::with_threads(MAX_THREADS)
    }
}

impl Volume {
    /// A volume whose calls these workers run.
    pub fn new(workers: impl Workers + 'static) -> Self {
        Self(Arc::new(workers))
    }

    fn with_threads(max: usize) -> Self {
        Self::new(Threads(Arc::new(Semaphore::new(max))))
    }

    /// Runs `work` where it may block. `None` when it is not done within `limit`: the volume does not answer, or so
    /// many other calls hang that no thread is free.
    pub async fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.within_or_undone(limit, work, drop).await
    }

    /// As [`Self::within`], and again while the volume answers with an error that may pass.
    pub async fn until_answered<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Fn() -> Result<T, SourceError> + Clone + Send + 'static,
    ) -> Option<Result<T, SourceError>> {
        self.until_answered_or_undone(limit, work, drop).await
    }

    /// As [`Self::until_answered`]; what is done after `limit`, when a volume answers again, is undone.
    pub async fn until_answered_or_undone<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Fn() -> Result<T, SourceError> + Clone + Send + 'static,
        undo: impl Fn(Result<T, SourceError>) + Clone + Send + 'static,
    ) -> Option<Result<T, SourceError>> {
        let ask = |left| self.within_or_undone(left, work.clone(), undo.clone());
        retry(limit, SourceError::may_pass, ask).await
    }

    /// Removes files of a run; what the volume says when it does not.
    pub async fn remove(
        &self,
        limit: Duration,
        files: &RunFiles,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Option<Result<(), SourceError>> {
        let files = files.clone();
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let remove = move || files.remove(names.iter().map(String::as_str)).map_or(Ok(()), Err);
        self.until_answered(limit, remove).await
    }

    /// As [`Self::within`]; what is done after `limit`, when a volume answers again, is undone.
    pub async fn within_or_undone<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
        undo: impl FnOnce(T) + Send + 'static,
    ) -> Option<T> {
        let (answer, mut answered) = oneshot::channel();
        let work = Box::new(move || {
            if let Err(late) = answer.send(work()) {
                undo(late);
            }
        });
        if timeout(limit, self.0.begin(work)).await.is_err() {
            metrics::note(metrics::Metrics::volume_timed_out);
            // From here on it is late; an answer of the last moment counts.
            answered.close();
        }
        answered.try_recv().ok()
    }

    /// The source of a log that is followed.
    #[must_use]
    pub fn log(&self, file: FileSource) -> Box<dyn LogSource> {
        self.0.log(file)
    }
}

/// Asks a volume again while its answer is an error that may pass. Each time it is told what is left of the limit.
pub async fn retry<T, E, Answer: Future<Output = Option<Result<T, E>>>>(
    limit: Duration,
    may_pass: fn(&E) -> bool,
    ask: impl Fn(Duration) -> Answer,
) -> Option<Result<T, E>> {
    let until = Instant::now() + limit;
    loop {
        let answer = ask(until.saturating_duration_since(Instant::now())).await;
        let is_over = Instant::now() + VOLUME_RETRY_PAUSE >= until;
        match &answer {
            Some(Err(error)) if may_pass(error) && !is_over => sleep(VOLUME_RETRY_PAUSE).await,
            _ => return answer,
        }
    }
}

/// For a look at the volume that is repeated: while one hangs, the next one gets no thread.
#[derive(Debug, Clone, Default)]
pub struct SingleFlight(Arc<AtomicBool>);

impl SingleFlight {
    /// As [`Volume::within`]; also `None` while an earlier look has not come back.
    pub async fn look<T: Send + 'static>(
        &self,
        volume: &Volume,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.0.swap(true, Ordering::AcqRel) {
            return None;
        }
        // Dropped with the work, also when that never got a thread.
        let guard = InFlightGuard(self.0.clone());
        let look = volume.within(limit, move || {
            let _guard = guard;
            work()
        });
        look.await
    }
}

/// While it lives, a look is in flight.
struct InFlightGuard(Arc<AtomicBool>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    /// A bound, not an expectation: a machine may be slow.
    const TEST_LIMIT: Duration = Duration::from_secs(180);

    #[tokio::test]
    async fn what_is_done_too_late_is_undone_and_what_is_done_in_time_is_not() {
        let (volume, (say, undone)) = (Volume::default(), mpsc::channel());
        let (go_on, wait) = mpsc::channel::<()>();
        let (late, in_time) = (say.clone(), say);
        let work = move || wait.recv_timeout(TEST_LIMIT).map(|()| "late");
        let answer = volume.within_or_undone(Duration::from_millis(1), work, move |done| {
            late.send(done.unwrap_or("never")).expect("the test waits");
        });
        assert_eq!(answer.await, None);
        go_on.send(()).expect("the work waits");
        assert_eq!(undone.recv_timeout(TEST_LIMIT), Ok("late"));
        let answer = volume.within_or_undone(
            TEST_LIMIT,
            || "in time",
            move |done| {
                in_time.send(done).expect("the test waits");
            },
        );
        assert_eq!(answer.await, Some("in time"));
        assert!(undone.recv().is_err(), "nothing is undone");
    }

    /// A volume that answers at once.
    struct AtOnce;

    impl Workers for AtOnce {
        fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
            work();
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
        use rustix::io::Errno;
        let limit = VOLUME_RETRY_PAUSE * 9;
        let answers = async |errors: usize, errno: Errno| {
            let asked = Arc::new(AtomicUsize::new(0));
            let look = move || match asked.fetch_add(1, Ordering::AcqRel) {
                so_often if so_often < errors => Err(SourceError::from(errno)),
                _ => Ok("done"),
            };
            let answer = Volume::new(AtOnce).until_answered(limit, look).await;
            answer.expect("an answer")
        };
        for errno in [Errno::IO, Errno::STALE, Errno::NOTCONN, Errno::MFILE] {
            assert_eq!(answers(3, errno).await, Ok("done"), "{errno}");
            let since = Instant::now();
            assert_eq!(answers(usize::MAX, errno).await, Err(errno.into()));
            assert!(since.elapsed() <= limit);
        }
        for errno in [
            Errno::ACCESS,
            Errno::ROFS,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::EXIST,
        ] {
            assert_eq!(answers(1, errno).await, Err(errno.into()));
        }
    }

    #[tokio::test]
    async fn a_volume_that_hangs_gets_one_thread_and_is_not_waited_for() {
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
        while single_flight.look(&volume, TEST_LIMIT, || true).await != Some(true) {
            assert!(since.elapsed() < TEST_LIMIT);
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
        assert_eq!(two.within(TEST_LIMIT, || 1).await, Some(1));
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
        assert_eq!(single_flight.look(&volume, TEST_LIMIT, || true).await, Some(true));
    }
}
