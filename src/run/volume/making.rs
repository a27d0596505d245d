//! Files that a thread makes while somebody waits for them: whoever waits no more leaves none.

use std::sync::{Arc, Mutex, PoisonError};

use crate::manifest::FileNames;
use crate::tail::source::RunFiles;

/// What becomes of files that a thread makes while somebody waits for them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    #[default]
    NotYet,
    /// Made, and nobody has taken note of it.
    Untaken,
    Taken,
    /// Nobody waits any more.
    Unwanted,
}

/// Somebody waits for files to be made.
pub(super) struct Making {
    state: Arc<Mutex<Made>>,
    files: RunFiles,
    names: FileNames,
}

impl Making {
    pub(super) fn new(files: RunFiles, names: FileNames) -> Self {
        Self {
            state: Arc::default(),
            files,
            names,
        }
    }

    /// For the thread that makes them.
    pub(super) fn state(&self) -> Arc<Mutex<Made>> {
        self.state.clone()
    }

    pub(super) fn is_taken(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Made::Taken;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut made = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *made {
            Made::NotYet => *made = Made::Unwanted,
            Made::Untaken => {
                let (files, names) = (self.files.clone(), self.names.clone());
                tokio::task::spawn_blocking(move || files.remove(names.all()));
            }
            Made::Taken | Made::Unwanted => {}
        }
    }
}

/// The files are made; false when nobody wants them any more.
pub(super) fn hand_over(state: &Mutex<Made>) -> bool {
    let mut made = state.lock().unwrap_or_else(PoisonError::into_inner);
    if *made == Made::NotYet {
        *made = Made::Untaken;
    }
    *made != Made::Unwanted
}
