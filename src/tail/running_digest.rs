//! SHA-256 of what a tail has read, to compare with the pod's end record. Pure.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The running digest; `None` inside when nobody will compare it (then a proof reads the file a second time).
#[derive(Debug, Clone)]
pub(super) struct RunningDigest(Option<Sha256>);

impl RunningDigest {
    /// A digest of nothing yet.
    #[must_use]
    pub(super) fn new(kept: bool) -> Self {
        Self(kept.then(Sha256::new))
    }

    /// Adds what was read.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(bytes);
        }
    }

    /// The file starts again.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.0.is_some());
    }

    /// Whether what was read has this digest, in lower-case hex; `None` when no digest is kept.
    pub(super) fn is(&self, sha256: &str) -> Option<bool> {
        self.0.as_ref().map(|digest| hex(digest.clone()) == sha256)
    }
}

/// A digest in lower-case hex.
fn hex(digest: Sha256) -> String {
    digest
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
