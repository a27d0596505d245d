//! The shared volume: a real folder, with work on it that is slow, hangs, or shows what was there a while ago.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use opencode_k8s::run::volume::blocking::{Work, Workers};
use opencode_k8s::tail::source::{FileSource, FileState, Freshness, LogSource, SourceError};
use tokio::time::{Instant, sleep};

use super::World;

/// What is wrong with it now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct VolumeFaults {
    /// Calls do not return before it is over.
    pub(crate) hangs: bool,
    /// Reads of logs fail.
    pub(crate) fails: bool,
    /// Some calls take this long.
    pub(crate) slow: Duration,
}

pub(crate) struct Volume {
    folder: tempfile::TempDir,
    since: Instant,
    wall: SystemTime,
    stamped: Mutex<HashSet<PathBuf>>,
}

impl Volume {
    pub(crate) fn new(wall: SystemTime) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            since: Instant::now(),
            wall,
            stamped: Mutex::default(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn on_server(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches("/paperclip/"))
    }

    /// The file was changed now, by the stopped clock.
    pub(crate) fn stamp(&self, path: &Path) {
        let now = self.wall + self.since.elapsed();
        let _ = File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_modified(now));
        self.stamped.lock().unwrap().insert(path.to_owned());
    }

    /// All files of runs.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.root().join("instances/default/run-logs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path())
                } else {
                    found.push(entry.path())
                }
            }
        }
        found.sort();
        found
    }

    fn stamp_new(&self) {
        let files = self.files();
        let mut stamped = self.stamped.lock().unwrap();
        stamped.retain(|known| files.contains(known));
        let new: Vec<PathBuf> = files.into_iter().filter(|file| !stamped.contains(file)).collect();
        drop(stamped);
        new.iter().for_each(|file| self.stamp(file));
    }
}

/// One server's hands on the volume.
pub(crate) struct Hands {
    pub(crate) world: Weak<World>,
    pub(crate) alive: Arc<AtomicBool>,
}

impl Workers for Hands {
    fn begin(&self, work: Work) -> BoxFuture<'static, ()> {
        let (world, alive) = (self.world.clone(), self.alive.clone());
        Box::pin(async move {
            let Some(world) = world.upgrade() else { return };
            // As on a thread: whoever gives up waiting does not end it.
            let done = tokio::spawn(async move {
                let slow = world.volume_faults().slow;
                if !slow.is_zero() && world.draw(|dice| dice.once_in(4)) {
                    sleep(world.draw(|dice| dice.millis(1, slow.as_millis() as u64))).await;
                }
                while world.volume_faults().hangs {
                    sleep(Duration::from_millis(500)).await;
                }
                if alive.load(Ordering::SeqCst) {
                    work();
                    world.volume.stamp_new();
                } else {
                    std::future::pending::<()>().await;
                }
            });
            let _ = done.await;
        })
    }

    fn log(&self, file: FileSource) -> Box<dyn LogSource> {
        Box::new(Log {
            file,
            world: self.world.clone(),
            sizes: Vec::new(),
        })
    }
}

/// A log as a server sees it: late, where the volume is of a network.
struct Log {
    file: FileSource,
    world: Weak<World>,
    /// Its sizes at some times, the latest at the end.
    sizes: Vec<(Instant, u64)>,
}

impl Log {
    fn check(&self) -> Result<(), SourceError> {
        match self.world.upgrade().map(|world| world.volume_faults()) {
            Some(faults) if faults.fails || faults.hangs => Err(SourceError::Io(rustix::io::Errno::IO)),
            _ => Ok(()),
        }
    }

    /// How much of it is shown here by now.
    fn shown(&mut self) -> u64 {
        let lag = self
            .world
            .upgrade()
            .map_or(Duration::ZERO, |world| world.plan.log_lag);
        let now = Instant::now();
        if lag.is_zero() {
            return u64::MAX;
        }
        if let Ok(seen) = self.file.look() {
            self.sizes.push((now, seen.size));
        }
        let old = self.sizes.iter().rposition(|(at, _)| *at + lag <= now);
        let shown = old.map_or(0, |at| self.sizes[at].1);
        if let Some(at) = old {
            self.sizes.drain(..at);
        }
        shown
    }
}

impl LogSource for Log {
    fn look(&mut self) -> Result<FileState, SourceError> {
        self.check()?;
        self.file.look()
    }

    fn open(&mut self) -> Result<FileState, SourceError> {
        self.check()?;
        self.file.open()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        self.check()?;
        let shown = self.shown().saturating_sub(offset).min(buffer.len() as u64) as usize;
        let Some(part) = buffer.get_mut(..shown) else {
            return Ok(0);
        };
        if part.is_empty() {
            Ok(0)
        } else {
            self.file.read_at(offset, part)
        }
    }

    fn close(&mut self) {
        self.file.close();
    }

    fn freshness(&self) -> Freshness {
        let lags = self
            .world
            .upgrade()
            .is_some_and(|world| !world.plan.log_lag.is_zero());
        if lags { Freshness::Cached } else { Freshness::Local }
    }

    fn mount(&self) -> &str {
        self.file.mount()
    }
}
