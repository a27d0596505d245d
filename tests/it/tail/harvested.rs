//! A log that another server harvested and removed while this one was following it: what was read whole is proven, what
//! was not is named, and neither waits for a file that will not come back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::tail::{Driver, record_of};
use opencode_k8s::tail::follower::Proof;
use opencode_k8s::tail::source::{FileState, Freshness, LogSource, SourceError};
use rustix::io::Errno;

/// A file on NFS that somebody else may remove: then the handle is lost too.
#[derive(Clone)]
struct Removable(Arc<Mutex<Option<Vec<u8>>>>, bool);

impl Removable {
    fn new(bytes: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Some(bytes.to_vec()))), false)
    }

    fn remove(&self) {
        *self.0.lock().expect("the file") = None;
    }

    fn append(&self, more: &[u8]) {
        self.0
            .lock()
            .expect("the file")
            .as_mut()
            .expect("there")
            .extend_from_slice(more);
    }

    fn seen(&self) -> Option<FileState> {
        let size = self.0.lock().expect("the file").as_ref()?.len() as u64;
        Some(FileState {
            identity: (1, 1),
            size,
            links: 1,
        })
    }
}

impl LogSource for Removable {
    fn look(&mut self) -> Result<FileState, SourceError> {
        self.seen().ok_or(SourceError::Missing)
    }

    fn open(&mut self) -> Result<FileState, SourceError> {
        self.1 = self.seen().is_some();
        self.look()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let file = self.0.lock().expect("the file");
        let Some(bytes) = file.as_ref() else {
            return Err(SourceError::Io(Errno::STALE));
        };
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn close(&mut self) {
        self.1 = false;
    }

    fn freshness(&self) -> Freshness {
        Freshness::Cached
    }

    fn mount(&self) -> &str {
        "/mount"
    }
}

const HEAD: &str = "{\"event\":1}\n{\"event\":2}\n";
const TAIL: &str = "{\"event\":3}\n";

#[test]
fn what_was_read_whole_is_proven_although_the_file_is_gone() {
    let file = Removable::new(HEAD.as_bytes());
    let mut driver = Driver::new(file.clone());
    driver.settle();
    file.remove();
    driver.run(Duration::from_secs(5));
    let (proof, took) = driver.finish(record_of(HEAD.as_bytes()));
    assert_eq!((proof, driver.text.as_str()), (Proof::Proven, HEAD));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn what_was_not_read_is_named_and_not_called_proven() {
    let file = Removable::new(HEAD.as_bytes());
    let mut driver = Driver::new(file.clone());
    driver.settle();
    file.append(TAIL.as_bytes());
    file.remove();
    driver.run(Duration::from_secs(5));
    let (have, want) = (HEAD.len() as u64, (HEAD.len() + TAIL.len()) as u64);
    let (proof, _) = driver.finish(record_of(format!("{HEAD}{TAIL}").as_bytes()));
    assert_eq!(proof, Proof::Incomplete { have, want });
    assert_eq!(driver.text, HEAD);
}
