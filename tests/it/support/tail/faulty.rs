//! A source that plays the faults of network file systems, and the log that it plays them on.

use std::sync::{Arc, Mutex};

use opencode_k8s::tail::follower::Proof;
use opencode_k8s::tail::source::{FileState, Freshness, LogSource, SourceError};

use super::{Driver, record_of};

/// What the file server holds, and how badly the mount shows it.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) bytes: Vec<u8>,
    pub(crate) exists: bool,
    pub(crate) inode: u64,
    /// The size that `look` tells, whatever is true.
    pub(crate) frozen_size: Option<u64>,
    /// How much of the data can be read.
    pub(crate) frozen_data: Option<usize>,
    /// Bytes from here on are NUL until the path is opened so many times more.
    pub(crate) nuls: Option<(usize, u32)>,
    /// Every look and every handle shows a new identity.
    pub(crate) inodes_change: bool,
    /// After the bytes come NULs without an end.
    pub(crate) endless_nuls: bool,
    /// What is shown in place of the bytes.
    pub(crate) shown: Option<Vec<u8>>,
    /// A read gives at most this much.
    pub(crate) short: Option<usize>,
    /// What a look, an open or a read answers, so many times.
    pub(crate) error: Option<(SourceError, u32)>,
    pub(crate) opens: u32,
    pub(crate) looks: u32,
    pub(crate) reads: u32,
}

#[derive(Clone)]
pub(crate) struct Faulty(pub(crate) Arc<Mutex<Server>>, pub(crate) Freshness, bool);

impl Faulty {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let server = Server {
            bytes: bytes.to_vec(),
            exists: true,
            inode: 1,
            ..Server::default()
        };
        Self(Arc::new(Mutex::new(server)), Freshness::Cached, false)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Server)) {
        change(&mut self.0.lock().expect("the server"));
    }

    fn ask<T>(&self, answer: impl FnOnce(&mut Server) -> Result<T, SourceError>) -> Result<T, SourceError> {
        let mut server = self.0.lock().expect("the server");
        if let Some((error, times)) = &mut server.error
            && *times > 0
        {
            *times -= 1;
            return Err(error.clone());
        }
        if server.exists {
            answer(&mut server)
        } else {
            Err(SourceError::Missing)
        }
    }
}

fn seen(server: &mut Server) -> FileState {
    server.inode += u64::from(server.inodes_change);
    let size = server.frozen_size.unwrap_or(server.bytes.len() as u64);
    FileState {
        identity: (1, server.inode),
        size,
        links: 1,
    }
}

impl LogSource for Faulty {
    fn look(&mut self) -> Result<FileState, SourceError> {
        self.ask(|server| {
            server.looks += 1;
            Ok(seen(server))
        })
    }

    fn open(&mut self) -> Result<FileState, SourceError> {
        let seen = self.ask(|server| {
            server.opens += 1;
            if let Some((_, left)) = &mut server.nuls {
                *left = left.saturating_sub(1);
            }
            Ok(seen(server))
        });
        self.2 = seen.is_ok();
        seen
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        assert!(self.2, "read without a handle");
        let read = self.ask(|server| {
            server.reads += 1;
            let bytes = server.shown.as_ref().unwrap_or(&server.bytes);
            let visible = bytes.len().min(server.frozen_data.unwrap_or(usize::MAX));
            let rest = bytes[..visible].get(offset as usize..).unwrap_or_default();
            if server.endless_nuls && rest.is_empty() {
                buffer.fill(0);
                return Ok(buffer.len());
            }
            let length = rest
                .len()
                .min(buffer.len())
                .min(server.short.unwrap_or(usize::MAX));
            buffer[..length].copy_from_slice(&rest[..length]);
            if let Some((from, 1..)) = server.nuls {
                let kept = from.saturating_sub(offset as usize).min(length);
                buffer[kept..length].fill(0);
            }
            Ok(length)
        });
        self.2 = read.is_ok();
        read
    }

    fn close(&mut self) {
        self.2 = false;
    }

    fn freshness(&self) -> Freshness {
        self.1
    }

    fn mount(&self) -> &str {
        "/mount"
    }
}

pub(crate) const HEAD: &str = "{\"event\":1}\n{\"event\":\"日本 🎉\"}\n";
pub(crate) const REST: &str = "{\"event\":3}\n{\"event\":4,\"half";

pub(crate) fn all() -> String {
    format!("{HEAD}{REST}")
}

pub(crate) fn given() -> String {
    format!("{HEAD}{REST}\n")
}

/// The record of the whole log ends it proven, with equal bytes.
pub(crate) fn proven(mut tail: Driver) {
    let (proof, _) = tail.finish(record_of(all().as_bytes()));
    assert_eq!((proof, tail.text.as_str()), (Proof::Proven, given().as_str()));
}
