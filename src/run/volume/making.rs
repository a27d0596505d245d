//! Files that a thread makes while somebody waits for them: whoever waits no more leaves none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::manifest::FileNames;
use crate::tail::source::{Preparation, PrepareError, RunFiles};

/// Somebody waits for files to be made, through all attempts at it.
pub(super) struct Making(Attempt);

/// One attempt, for the thread that makes the files.
#[derive(Clone)]
pub(super) struct Attempt {
    files: RunFiles,
    names: FileNames,
    made: Arc<Mutex<Made>>,
}

/// What becomes of the files.
enum Made {
    /// These are there, and nobody has taken note of them.
    Untaken(Vec<String>),
    Taken,
    /// Nobody waits any more.
    Unwanted,
}

impl Making {
    pub(super) fn new(files: RunFiles, names: FileNames) -> Self {
        let made = Arc::new(Mutex::new(Made::Untaken(Vec::new())));
        Self(Attempt { files, names, made })
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.0.clone()
    }

    pub(super) fn is_taken(&self) {
        *self.0.made() = Made::Taken;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut made = self.0.made();
        let Made::Untaken(names) = &mut *made else { return };
        let (files, names) = (self.0.files.clone(), std::mem::take(names));
        *made = Made::Unwanted;
        if !names.is_empty() {
            tokio::task::spawn_blocking(move || files.remove(names.iter().map(String::as_str)));
        }
    }
}

impl Attempt {
    /// Removes what the attempt before has left, and makes the files. Blocks.
    pub(super) fn run(
        self,
        make: impl FnOnce(&RunFiles) -> Result<Preparation, PrepareError>,
    ) -> Result<Preparation, PrepareError> {
        let before = match &mut *self.made() {
            Made::Untaken(names) => std::mem::take(names),
            Made::Taken | Made::Unwanted => Vec::new(),
        };
        self.files.remove(before.iter().map(String::as_str));
        let made = make(&self.files);
        let names = match &made {
            Ok(_) => self.names.all().into_iter().map(str::to_owned).collect(),
            Err(error) => error.left().to_vec(),
        };
        let mut known = self.made();
        if let Made::Untaken(known) = &mut *known {
            *known = names;
        } else {
            drop(known);
            self.files.remove(names.iter().map(String::as_str));
        }
        made
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
