//! What agents lay in the way of a run's files, and hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::RunFolder;
use crate::run::failure::Failure;
use crate::tail::source::SourceError;

/// The folders of all logs, of a company's and of an agent's: the adapter's own.
const LOG_FOLDERS: usize = 3;
/// So often all held files of a run together are asked for again. Then each counts as an agent's: neither servers nor
/// the pod's script hold one.
const MOST_HELD: usize = 8;

impl RunFolder {
    /// Makes the way to the run's files such that they can be made. Only while no Job of the agent is at work.
    ///
    /// # Errors
    /// `k8s_shared_volume_missing`.
    pub(crate) async fn clear_way(&self) -> Result<(), Failure> {
        let files = self.files.clone();
        self.answered(move || files.clear_way(LOG_FOLDERS)).await
    }
}

/// A small file, if a server or our script can have made it.
pub(super) fn of_server_or_pod(
    read: Result<Option<Vec<u8>>, SourceError>,
    held: &AtomicUsize,
) -> Result<Option<Vec<u8>>, SourceError> {
    match read {
        Err(SourceError::Hostile(_)) => Ok(None),
        Err(error) if error.is_held() && held.fetch_add(1, Ordering::Relaxed) >= MOST_HELD => Ok(None),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn held_files_are_waited_for_together() {
        let held = AtomicUsize::new(0);
        let read = |errno: Errno| of_server_or_pod(Err(errno.into()), &held);
        for _ in 0..MOST_HELD {
            assert_eq!(read(Errno::AGAIN), Err(Errno::AGAIN.into()));
        }
        assert_eq!((read(Errno::AGAIN), read(Errno::AGAIN)), (Ok(None), Ok(None)));
        assert_eq!(read(Errno::IO), Err(Errno::IO.into()), "unknown is not absent");
    }
}
